/** What a person decides: sent, said on the page, and everything that shows it asked again. */

import { ACTIONS, ApiError, send, type ActionKind } from "./api";
import { reloadAll } from "./load";
import { say } from "./says";

export interface Decision {
  kind: ActionKind;
  incident_ids?: string[];
  entity?: string;
  comment?: string;
  for_s?: number;
}

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

/** True when Kafka has it. What failed is said on the page. */
export async function decide(decision: Decision): Promise<boolean> {
  try {
    const answer = (await send("POST", ACTIONS, decision)) as { stored?: boolean; unknown?: string[] } | null;
    const count = (decision.incident_ids?.length ?? 1) - (answer?.unknown?.length ?? 0);
    const late = answer?.stored === false ? ". It is shown when the database is back" : "";
    say(`${DONE[decision.kind] ?? decision.kind}${count > 1 ? `: ${count} incidents` : ""}${late}.`);
    reloadAll();
    return true;
  } catch (error) {
    say(reason(error), true);
    return false;
  }
}

/** Why something was not done, in words. */
export function reason(error: unknown): string {
  if (!(error instanceof ApiError)) return "It did not work.";
  return error.kind === "offline" ? "No connection to the server: nothing was changed." : error.message;
}
