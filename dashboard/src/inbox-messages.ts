/** Inbox messages: mark as read, and link target. */

import { anomalyPath } from "./paths";
import { errorText } from "./actions";
import { INBOX_READ, send, withId, type Message } from "./api";
import { reloadAll } from "./query";
import { showToast } from "./toast";

/** If it fails, the message stays unread. */
export function markRead({ id, read }: Message): void {
  if (read) return;
  send("POST", withId("/api/v1/inbox/{id}/read", id)).then(reloadAll, () => undefined);
}

/** Marks every message up to the newest shown; later arrivals stay unread. */
export function markAllRead(newest: Message): void {
  send("POST", INBOX_READ, { until: newest.at }).then(reloadAll, (error: unknown) => showToast(errorText(error), true));
}

/** Null if there is no page for it. */
export function messagePath({ anomaly_id: anomaly, run_id: run }: Message): string | null {
  if (anomaly != null) return anomalyPath(anomaly);
  return run == null ? null : `/anomalies?${new URLSearchParams({ run }).toString()}`;
}
