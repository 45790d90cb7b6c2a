/** Live anomalies over server-sent events: one connection for the whole page, open while it is visible. */

import { useEffect, useState } from "preact/hooks";
import { get, HEALTH, STREAM, type Anomaly, type Health } from "./api";
import { parseJson } from "./plain-text";
import { reloadAll } from "./query";

export type LiveState = "connecting" | "live" | "disconnected";

const MAX_RECENT = 200;
const FIRST_RECONNECT_MS = 1_000;
const MAX_RECONNECT_MS = 10_000;
/** The recorder stores in batches: refetch the lists when it has probably stored the anomaly. */
const STORED_AFTER_MS = [400, 2_500];

let source: EventSource | null = null;
let asking = false;
let reconnectMs = FIRST_RECONNECT_MS;
let state: LiveState = "connecting";
let recent: Anomaly[] = [];
let timers: number[] = [];
const listeners = new Set<() => void>();

function notifyListeners(): void {
  for (const listener of listeners) listener();
}

function setState(next: LiveState): void {
  if (next === state) return;
  state = next;
  notifyListeners();
}

function reloadSoon(): void {
  timers.forEach(clearTimeout);
  timers = STORED_AFTER_MS.map((ms) => window.setTimeout(reloadAll, ms));
}

/** Whether the API is connected to Kafka; without it the page polls instead. */
async function isAvailable(): Promise<boolean> {
  try {
    return (await get<Health>(HEALTH, new URLSearchParams(), new AbortController().signal)).broker === "ok";
  } catch {
    return false;
  }
}

function scheduleReconnect(): void {
  window.setTimeout(startLive, reconnectMs);
  reconnectMs = Math.min(MAX_RECONNECT_MS, 2 * reconnectMs);
}

async function open(): Promise<void> {
  if (source !== null || asking) return;
  asking = true;
  const available = await isAvailable();
  asking = false;
  if (!available) {
    setState("disconnected");
    scheduleReconnect();
    return;
  }
  listen();
}

function listen(): void {
  source = new EventSource(STREAM);
  source.addEventListener("ready", () => {
    reconnectMs = FIRST_RECONNECT_MS;
    setState("live");
  });
  source.addEventListener("anomaly", (event: MessageEvent<string>) => {
    const anomaly = { ...(parseJson(event.data) as Anomaly), recorded_at: new Date().toISOString() };
    recent = [anomaly, ...recent.filter(({ id }) => id !== anomaly.id)].slice(0, MAX_RECENT);
    setState("live");
    notifyListeners();
    reloadSoon();
  });
  source.addEventListener("reset", reloadAll);
  source.addEventListener("error", () => {
    setState("disconnected");
    // Closed permanently, for example refused: reconnect later; meanwhile the page polls.
    if (source?.readyState === EventSource.CLOSED) {
      close();
      scheduleReconnect();
    }
  });
}

function close(): void {
  source?.close();
  source = null;
}

/** Opens the stream if the page is visible. A hidden page holds no connection and refetches when it becomes visible. */
export function startLive(): void {
  if (document.visibilityState === "visible") void open();
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") {
    void open();
    return;
  }
  close();
  setState("connecting");
});

/** Anomalies received since the page was loaded, newest first, and the state of the connection. */
export function useLive(): { state: LiveState; recent: Anomaly[] } {
  const [, redraw] = useState(0);
  useEffect(() => {
    const changed = () => redraw((n) => n + 1);
    listeners.add(changed);
    return () => void listeners.delete(changed);
  }, []);
  return { state, recent };
}
