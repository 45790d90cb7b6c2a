/** How long an execution has run, against what is usual or allowed. Pure: the caller says what time it is. */

import type { Running } from "./api";
import { duration } from "./time";

export interface Elapsed {
  /** Seconds since the start, now. */
  seconds: number;
  /** "12 m of usually 10 m", "12 m, limit 5 m", "12 m". */
  words: string;
  /** Where time, usual time and limit lie on a bar, each 0 to 1; null where neither usual time nor limit is known. */
  bar: { now: number; usual: number | null; limit: number | null } | null;
  /** Beyond the limit, or twice the usual time. */
  isLong: boolean;
}

/** `receivedMs` and `nowMs` are of one clock, the browser's; the server has given `elapsed_s` at the former. */
export function elapsed(run: Pick<Running, "elapsed_s" | "usual_s" | "limit_s">, receivedMs: number, nowMs: number): Elapsed {
  const seconds = run.elapsed_s + Math.max(0, nowMs - receivedMs) / 1000;
  const { usual_s: usual, limit_s: limit } = run;
  const took = duration(Math.floor(seconds));
  const known = [usual, limit].filter((each): each is number => each != null && each > 0);
  const whole = Math.max(seconds, ...known.map((each) => each * 1.25));
  const place = (at: number | null | undefined) => (at != null && at > 0 ? at / whole : null);
  const parts = [usual != null && usual > 0 ? `${took} of usually ${duration(usual)}` : took];
  if (limit != null) parts.push(`limit ${duration(limit)}`);
  return {
    seconds,
    words: parts.join(", "),
    bar: known.length === 0 ? null : { now: seconds / whole, usual: place(usual), limit: place(limit) },
    isLong: (limit != null && seconds > limit) || (usual != null && usual > 0 && seconds > 2 * usual),
  };
}

/** How long it waited to be started; empty where that is not known, or was less than a second. */
export function waited({ queued_at: queued, started_at: started }: { queued_at?: string | null | undefined; started_at: string }): string {
  if (queued == null) return "";
  const seconds = (Date.parse(started) - Date.parse(queued)) / 1000;
  return seconds >= 1 ? duration(Math.round(seconds)) : "";
}
