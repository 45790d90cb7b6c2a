/** The timeline of an incident: anomalies, operator actions, notifications with their outcome and reason. Pure. */

import type { Action, Anomaly, IncidentDetail, Notification } from "./api";
import { shortDescription } from "./format";
import { channelName, endWord, readable } from "./vocabulary";

export interface TimelineEntry {
  key: string;
  at: string;
  kind: "found" | "decided" | "sent" | "held";
  title: string;
  /** From events or people: rendered as plain text. */
  detail: string;
}

const ACTION_LABELS: Record<string, string> = {
  acknowledge: "acknowledged it",
  resolve: "resolved it",
  expected: "marked it as expected",
  not_an_anomaly: "marked it as not an anomaly",
  comment: "commented",
  silence: "silenced it",
  relearn: "reset the baseline",
  retire: "retired it",
  create_anomaly: "added an anomaly",
  update_anomaly: "changed an anomaly",
  delete_anomaly: "deleted an anomaly",
};

/** The records of an incident; its anomalies may be of types of a later version. */
type Events = Pick<IncidentDetail, "actions" | "notifications"> & { anomalies: readonly Anomaly[] };

/** Oldest first. */
export function timeline({ anomalies, actions, notifications }: Events): TimelineEntry[] {
  return [...anomalies.map(ofAnomaly), ...actions.map(ofAction), ...notifications.map(ofNotification)].sort(
    (a, b) => Date.parse(a.at) - Date.parse(b.at),
  );
}

function ofAnomaly(anomaly: Anomaly): TimelineEntry {
  const { id, state, severity, detected_at: at } = anomaly;
  const how = readable(severity).toLowerCase();
  const ended = endWord(state, anomaly.end_reason) ?? "Resolved automatically";
  const title = state === "opened" ? `Opened as ${how}` : state === "resolved" ? ended : `${readable(state)}, ${how}`;
  return { key: `anomaly ${id} ${state}`, at, kind: "found", title, detail: shortDescription(anomaly) };
}

function ofAction({ action_id: id, kind, by, at, comment, until }: Action): TimelineEntry {
  const end = kind === "silence" && until != null ? ` until ${until.slice(0, 16).replace("T", " ")} UTC` : "";
  return { key: `action ${id}`, at, kind: "decided", title: `${by} ${ACTION_LABELS[kind] ?? readable(kind).toLowerCase()}${end}`, detail: comment ?? "" };
}

function ofNotification({ id, channel, outcome, reason, at }: Notification): TimelineEntry {
  const sent = outcome === "delivered";
  return { key: `notification ${id}`, at, kind: sent ? "sent" : "held", title: `${channelName(channel)}: ${outcome.replaceAll("_", " ")}`, detail: reason };
}
