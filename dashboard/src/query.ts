/** Cached, deduplicated and polled GETs: data stays on the page while a newer response is loading. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get } from "./api";

export interface QueryResult<T> {
  value: T | null;
  error: ApiError | null;
  /** Time of `value`, in ms. */
  at: number;
  reload: () => void;
}

interface CacheEntry {
  value: unknown;
  at: number;
}

const cache = new Map<string, CacheEntry>();
const MAX_CACHED = 200;

function store(key: string, value: unknown): CacheEntry {
  const entry = { value, at: Date.now() };
  cache.delete(key);
  cache.set(key, entry);
  if (cache.size > MAX_CACHED) cache.delete(cache.keys().next().value ?? "");
  return entry;
}

let tokenNeeded: () => void = () => undefined;
const mounted = new Set<() => void>();

/** `listener` is called whenever the server requires a token. */
export function onTokenNeeded(listener: () => void): void {
  tokenNeeded = listener;
}

/** Refetches every mounted query, for example after an action; requests in flight may predate it. */
export function reloadAll(): void {
  generation += 1;
  for (const reload of mounted) reload();
}

/** Like `get`; also notifies the page when a token is needed. */
export async function fetchJson<T>(path: string, query: URLSearchParams, signal: AbortSignal): Promise<T> {
  try {
    return await get<T>(path, query, signal);
  } catch (error) {
    if (error instanceof ApiError && error.kind === "unauthorised") tokenNeeded();
    throw error;
  }
}

interface SharedRequest {
  answer: Promise<unknown>;
  subscribers: number;
  control: AbortController;
}

let generation = 0;
const pending = new Map<string, SharedRequest>();

/** Components that need the same data at once share one request, aborted when the last one unmounts. */
async function share<T>(key: string, signal: AbortSignal): Promise<T> {
  const [path = "", text = ""] = key.split(/\?(.*)/s);
  const name = `${generation} ${key}`;
  let request = pending.get(name);
  if (request === undefined) {
    const control = new AbortController();
    const answer = fetchJson(path, new URLSearchParams(text), control.signal).finally(() => pending.delete(name));
    request = { answer, subscribers: 0, control };
    pending.set(name, request);
  }
  const joined = request;
  joined.subscribers += 1;
  const leave = () => {
    joined.subscribers -= 1;
    if (joined.subscribers > 0) return;
    joined.control.abort();
    if (pending.get(name) === joined) pending.delete(name);
  };
  signal.addEventListener("abort", leave, { once: true });
  try {
    return (await joined.answer) as T;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/**
 * The response to GET `path?query`: from the cache at once, then refetched, then polled every `everyMs` while the page
 * is visible, and sooner while the server does not respond. With `path` null nothing is requested.
 */
export function useQuery<T>(path: string | null, query: URLSearchParams, everyMs: number): QueryResult<T> {
  const key = path === null ? "" : `${path}?${query.toString()}`;
  const memory = cache.get(key);
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
        const answer = await share<T>(key, abort.signal);
        if (abort.signal.aborted) return;
        store(key, answer);
        error.current = null;
      } catch (caught) {
        if (abort.signal.aborted) return;
        error.current = { key, error: caught instanceof ApiError ? caught : new ApiError("failed", String(caught)) };
      }
      redraw((n) => n + 1);
      timer = window.setTimeout(again, error.current === null ? everyMs : Math.min(everyMs, 5_000));
    };
    // A hidden page does not poll; it refetches when it becomes visible.
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
    mounted.add(reload);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      removeEventListener("online", wake);
      mounted.delete(reload);
    };
  }, [key, everyMs, round, reload]);

  return {
    value: (memory?.value as T | undefined) ?? null,
    at: memory?.at ?? 0,
    error: error.current?.key === key ? error.current.error : null,
    reload,
  };
}

/** The current time, updated every `everyMs`, for relative times. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
