/** Operator actions: shown at once, sent to the server, confirmed by a toast; then every query is refetched. */

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

/** The server accepts this many incidents per request. */
const MAX_INCIDENTS = 200;
const CONFIRMATIONS: Record<string, string> = {
  acknowledge: "Acknowledged",
  resolve: "Resolved",
  expected: "Marked as expected",
  not_an_anomaly: "Marked as not an anomaly",
  comment: "Comment added",
  silence: "Silenced",
  relearn: "Baseline reset; learning starts with the next event",
  retire: "Retired",
};

/** True once Kafka has acknowledged it. A failure is shown as a toast, and the optimistic update is rolled back. */
export async function submitAction(decision: ActionRequest): Promise<boolean> {
  const incidents = decision.incident_ids ?? [];
  const rollBack = updateOptimistically(decision.kind, incidents, new Date().toISOString());
  const parts = decision.incident_ids === undefined ? [{}] : chunks(incidents, MAX_INCIDENTS).map((ids) => ({ incident_ids: ids }));
  try {
    const answers: Done[] = [];
    for (const part of parts) answers.push(((await send("POST", ACTIONS, { ...decision, ...part })) ?? {}));
    const unknown = answers.reduce((sum, answer) => sum + (answer.unknown?.length ?? 0), 0);
    const count = Math.max(1, incidents.length) - unknown;
    const late = answers.some(({ stored }) => stored === false) ? "; visible once the database is available again" : "";
    showToast(`${CONFIRMATIONS[decision.kind] ?? decision.kind}${count > 1 ? `: ${count.toLocaleString("en-GB")} incidents` : ""}${late}.`);
    reloadAll();
    return true;
  } catch (error) {
    rollBack();
    showToast(errorText(error), true);
    return false;
  }
}

/** The text of a failed action. */
export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) return "The action failed.";
  return error.kind === "offline" ? "No connection to the server; nothing was changed." : error.message;
}
