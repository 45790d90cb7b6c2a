/** What a person decides: shown at once, sent, said on the page, and everything that shows it asked again. */

import { ACTIONS, ApiError, send, type ActionKind } from "./api";
import { reloadAll } from "./query";
import { showToast } from "./toast";
import { chunks } from "./selection";
import { updateOptimistically } from "./optimistic-updates";

export interface ActionRequest {
  kind: ActionKind;
  incident_ids?: string[];
  entity?: string;
  comment?: string;
  for_s?: number;
}

interface Done {
  stored?: boolean;
  unknown?: string[];
}

/** The server takes so many incidents at once. */
const MOST = 200;
const DONE: Record<string, string> = {
  acknowledge: "Acknowledged",
  resolve: "Resolved",
  expected: "Marked as expected",
  not_an_anomaly: "Marked as not an anomaly",
  comment: "Comment added",
  silence: "Silenced",
  relearn: "It learns anew from its next event",
  retire: "Retired",
};

/** True when Kafka has it. What failed is said on the page, and shown no longer. */
export async function submitAction(decision: ActionRequest): Promise<boolean> {
  const incidents = decision.incident_ids ?? [];
  const rollBack = updateOptimistically(decision.kind, incidents, new Date().toISOString());
  const parts = decision.incident_ids === undefined ? [{}] : chunks(incidents, MOST).map((ids) => ({ incident_ids: ids }));
  try {
    const answers: Done[] = [];
    for (const part of parts) answers.push(((await send("POST", ACTIONS, { ...decision, ...part })) ?? {}));
    const unknown = answers.reduce((sum, answer) => sum + (answer.unknown?.length ?? 0), 0);
    const count = Math.max(1, incidents.length) - unknown;
    const late = answers.some(({ stored }) => stored === false) ? ". It is shown when the database is back" : "";
    showToast(`${DONE[decision.kind] ?? decision.kind}${count > 1 ? `: ${count.toLocaleString("en-GB")} incidents` : ""}${late}.`);
    reloadAll();
    return true;
  } catch (error) {
    rollBack();
    showToast(errorText(error), true);
    return false;
  }
}

/** Why something was not done, in words. */
export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) return "It did not work.";
  return error.kind === "offline" ? "No connection to the server: nothing was changed." : error.message;
}
