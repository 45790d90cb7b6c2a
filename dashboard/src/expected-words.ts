/** What is known of the times of a workflow, as text. Pure. */

import type { ExpectedRuns } from "./api";

/** "31 of 31 came": of the runs that were expected lately. */
export function cameWords({ came, expected }: Pick<ExpectedRuns, "came" | "expected">): string {
  return `${came.toLocaleString("en-GB")} of ${expected.toLocaleString("en-GB")} came`;
}

/** "the last run", "3 runs in a row, taken for retired". */
export function missedWords({ missed, retired }: Pick<ExpectedRuns, "missed" | "retired">): string {
  const runs = missed === 1 ? "the last run" : `${missed} runs in a row`;
  return retired ? `${runs}, taken for retired` : runs;
}
