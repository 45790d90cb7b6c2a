/** Anomalies that are found without the end of a run: one that did not come, one that has not ended. Pure. */

import type { Anomaly } from "./api";

type Found = Pick<Anomaly, "detector" | "state" | "end_reason">;

/** Its execution is the last one that came, and nothing of that one is anomalous. Its end by a run is about that run. */
export function isMissedRun({ detector, end_reason: reason }: Found): boolean {
  return detector === "missed_run" && reason !== "recovered" && reason !== "superseded";
}

/** Its execution runs, so it has no reading. */
export function isStillRunning({ detector, state }: Found): boolean {
  return detector === "still_running" && state !== "resolved";
}
