/** Time along the lanes: buckets of equal width, and where the eye finds days or hours among them. Pure. */

import { clock, day } from "./time";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MONDAY = 4 * DAY_MS; // 1970-01-05

export interface Tick {
  bucket: number;
  label: string;
}

/** Every four hours where a bucket is an hour, every day where it is a part of one, else every Monday. UTC. */
export function ticks(fromMs: number, bucketS: number, count: number): Tick[] {
  const bucketMs = bucketS * 1000;
  const [every, origin] = bucketMs <= HOUR_MS ? [4 * HOUR_MS, 0] : bucketMs < DAY_MS ? [DAY_MS, 0] : [7 * DAY_MS, MONDAY];
  const found: Tick[] = [];
  for (let bucket = 0; bucket < count; bucket += 1) {
    const at = fromMs + bucket * bucketMs;
    if ((at - origin) % every === 0) found.push({ bucket, label: every >= DAY_MS || at % DAY_MS === 0 ? day(at) : clock(at) });
  }
  return found;
}
