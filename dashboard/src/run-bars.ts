/** The last runs of a workflow as a strip of bars. Pure. */

import type { Execution } from "./api";

export interface Bar {
  run: Execution;
  failed: boolean;
  /** Neither good nor bad: cancelled or skipped. */
  aside: boolean;
  /** Of the longest shown, 0..1; one without a time is 0. */
  size: number;
}

const BAD: readonly string[] = ["failure", "error", "timeout"];

/** Oldest first, as one reads; at most `most`. `newestFirst` as the server lists them. */
export function bars(newestFirst: readonly Execution[], most: number): Bar[] {
  const shown = newestFirst.slice(0, most).toReversed();
  const longest = Math.max(Number.MIN_VALUE, ...shown.map(({ duration_s: took }) => took ?? 0));
  return shown.map((run) => ({
    run,
    failed: BAD.includes(run.status),
    aside: run.status === "cancellation" || run.status === "skip",
    size: (run.duration_s ?? 0) / longest,
  }));
}
