/** Messages of the inbox: marking them as read, and where each leads. */

import { anomalyPath } from "./paths";
import { errorText } from "./actions";
import { INBOX_READ, send, withId, type Message } from "./api";
import { reloadAll } from "./query";
import { showToast } from "./toast";

/** A mark that fails is seen: the message stays unread. */
export function markRead({ id, read }: Message): void {
  if (read) return;
  send("POST", withId("/api/v1/inbox/{id}/read", id)).then(reloadAll, () => undefined);
}

/** Every message up to the newest that is shown: what arrives meanwhile stays unread. */
export function markAllRead(newest: Message): void {
  send("POST", INBOX_READ, { until: newest.at }).then(reloadAll, (error: unknown) => showToast(errorText(error), true));
}

/** Null where it is about nothing that has a page. */
export function messagePath({ anomaly_id: anomaly, run_id: run }: Message): string | null {
  if (anomaly != null) return anomalyPath(anomaly);
  return run == null ? null : `/anomalies?${new URLSearchParams({ run }).toString()}`;
}
