/** Anomalies as they are found: one stream for the whole page, opened while it is in view. */

import { useEffect, useState } from "preact/hooks";
import { get, HEALTH, STREAM, type Anomaly, type Health } from "./api";
import { reloadAll } from "./query";

export type LiveState = "connecting" | "live" | "away";

const KEPT = 200;
const FIRST_AGAIN_MS = 1_000;
const MOST_AGAIN_MS = 10_000;
/** The recorder stores in batches: the lists are asked again once it has had the time. */
const STORED_AFTER_MS = [400, 2_500];

let source: EventSource | null = null;
let asking = false;
let againMs = FIRST_AGAIN_MS;
let state: LiveState = "connecting";
let recent: Anomaly[] = [];
let timers: number[] = [];
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

function become(next: LiveState): void {
  if (next === state) return;
  state = next;
  tell();
}

function reloadSoon(): void {
  timers.forEach(clearTimeout);
  timers = STORED_AFTER_MS.map((ms) => window.setTimeout(reloadAll, ms));
}

/** Whether there is a stream to listen to: without Kafka the lists are asked every few seconds, and no error is made. */
async function isThere(): Promise<boolean> {
  try {
    return (await get<Health>(HEALTH, new URLSearchParams(), new AbortController().signal)).broker === "ok";
  } catch {
    return false;
  }
}

function later(): void {
  window.setTimeout(startLive, againMs);
  againMs = Math.min(MOST_AGAIN_MS, 2 * againMs);
}

async function open(): Promise<void> {
  if (source !== null || asking) return;
  asking = true;
  const there = await isThere();
  asking = false;
  if (!there) {
    become("away");
    later();
    return;
  }
  listen();
}

function listen(): void {
  source = new EventSource(STREAM);
  source.addEventListener("ready", () => {
    againMs = FIRST_AGAIN_MS;
    become("live");
  });
  source.addEventListener("anomaly", (event: MessageEvent<string>) => {
    const anomaly = { ...(JSON.parse(event.data) as Anomaly), recorded_at: new Date().toISOString() };
    recent = [anomaly, ...recent.filter(({ id }) => id !== anomaly.id)].slice(0, KEPT);
    become("live");
    tell();
    reloadSoon();
  });
  source.addEventListener("reset", reloadAll);
  source.addEventListener("error", () => {
    become("away");
    // Closed for good: refused, or another role. Asked anew later; meanwhile the lists are asked every few seconds.
    if (source?.readyState === EventSource.CLOSED) {
      close();
      later();
    }
  });
}

function close(): void {
  source?.close();
  source = null;
}

/** Opens the stream while the page is in view. A page out of view holds no connection; it catches up when looked at. */
export function startLive(): void {
  if (document.visibilityState === "visible") void open();
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") {
    void open();
    return;
  }
  close();
  become("connecting");
});

/** What came since the page was loaded, newest first, and whether more will come by itself. */
export function useLive(): { state: LiveState; recent: Anomaly[] } {
  const [, redraw] = useState(0);
  useEffect(() => {
    const changed = () => redraw((n) => n + 1);
    listeners.add(changed);
    return () => void listeners.delete(changed);
  }, []);
  return { state, recent };
}
