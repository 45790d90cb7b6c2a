/** Asking the server and keeping the answer: what was seen stays on the page while a newer answer is on its way. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get } from "./api";

export interface QueryResult<T> {
  value: T | null;
  error: ApiError | null;
  /** When `value` came, in ms. */
  at: number;
  reload: () => void;
}

interface Kept {
  value: unknown;
  at: number;
}

const kept = new Map<string, Kept>();
const KEPT_ANSWERS = 200;

function keep(key: string, value: unknown): Kept {
  const entry = { value, at: Date.now() };
  kept.delete(key);
  kept.set(key, entry);
  if (kept.size > KEPT_ANSWERS) kept.delete(kept.keys().next().value ?? "");
  return entry;
}

let tokenNeeded: () => void = () => undefined;
const everyone = new Set<() => void>();

/** `listener` is called whenever the server asks for a token. */
export function onTokenNeeded(listener: () => void): void {
  tokenNeeded = listener;
}

/** Asks everything again, for example after a token was entered. What is under way may be older than what was done. */
export function reloadAll(): void {
  generation += 1;
  for (const reload of everyone) reload();
}

/** Like `get`; also tells the page when a token is wanted. */
export async function fetchJson<T>(path: string, query: URLSearchParams, signal: AbortSignal): Promise<T> {
  try {
    return await get<T>(path, query, signal);
  } catch (error) {
    if (error instanceof ApiError && error.kind === "unauthorised") tokenNeeded();
    throw error;
  }
}

interface Flight {
  answer: Promise<unknown>;
  passengers: number;
  control: AbortController;
}

let generation = 0;
const flights = new Map<string, Flight>();

/** Several parts of a page that ask the same at once share one request; it ends when the last has left. */
async function shared<T>(key: string, signal: AbortSignal): Promise<T> {
  const [path = "", text = ""] = key.split(/\?(.*)/s);
  const name = `${generation} ${key}`;
  let flight = flights.get(name);
  if (flight === undefined) {
    const control = new AbortController();
    const answer = fetchJson(path, new URLSearchParams(text), control.signal).finally(() => flights.delete(name));
    flight = { answer, passengers: 0, control };
    flights.set(name, flight);
  }
  const joined = flight;
  joined.passengers += 1;
  const leave = () => {
    joined.passengers -= 1;
    if (joined.passengers > 0) return;
    joined.control.abort();
    if (flights.get(name) === joined) flights.delete(name);
  };
  signal.addEventListener("abort", leave, { once: true });
  try {
    return (await joined.answer) as T;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/**
 * The answer to GET `path?query`: at once from memory where it was asked before, then fresh, then again every
 * `everyMs` while the page is in view, and sooner while the server is away. `path` null asks nothing.
 */
export function useQuery<T>(path: string | null, query: URLSearchParams, everyMs: number): QueryResult<T> {
  const key = path === null ? "" : `${path}?${query.toString()}`;
  const memory = kept.get(key);
  const [, redraw] = useState(0);
  const error = useRef<{ key: string; error: ApiError } | null>(null);
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((n) => n + 1), []);

  useEffect(() => {
    if (key === "") return undefined;
    const abort = new AbortController();
    let timer = 0;
    const load = async () => {
      try {
        const answer = await shared<T>(key, abort.signal);
        if (abort.signal.aborted) return;
        keep(key, answer);
        error.current = null;
      } catch (caught) {
        if (abort.signal.aborted) return;
        error.current = { key, error: caught instanceof ApiError ? caught : new ApiError("failed", String(caught)) };
      }
      redraw((n) => n + 1);
      timer = window.setTimeout(again, error.current === null ? everyMs : Math.min(everyMs, 5_000));
    };
    // A page out of view asks nothing; it catches up when it is looked at.
    const again = () => {
      if (document.visibilityState === "visible") void load();
    };
    const wake = () => {
      clearTimeout(timer);
      again();
    };
    void load();
    document.addEventListener("visibilitychange", wake);
    addEventListener("online", wake);
    everyone.add(reload);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      removeEventListener("online", wake);
      everyone.delete(reload);
    };
  }, [key, everyMs, round, reload]);

  return {
    value: (memory?.value as T | undefined) ?? null,
    at: memory?.at ?? 0,
    error: error.current?.key === key ? error.current.error : null,
    reload,
  };
}

/** The clock, moving every `everyMs`, for relative times. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
