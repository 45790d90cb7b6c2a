/** Messages of the inbox: marking them as read, and where each leads. */

import { anomalyAddress } from "./addresses";
import { reason } from "./acts";
import { INBOX_READ, send, withId, type Message } from "./api";
import { reloadAll } from "./load";
import { say } from "./says";

/** A mark that fails is seen: the message stays unread. */
export function markRead({ id, read }: Message): void {
  if (read) return;
  send("POST", withId("/api/v1/inbox/{id}/read", id)).then(reloadAll, () => undefined);
}

/** Every message up to the newest that is shown: what arrives meanwhile stays unread. */
export function markAllRead(newest: Message): void {
  send("POST", INBOX_READ, { until: newest.at }).then(reloadAll, (error: unknown) => say(reason(error), true));
}

/** Null where it is about nothing that has a page. */
export function addressOfMessage({ anomaly_id: anomaly, run_id: run }: Message): string | null {
  if (anomaly != null) return anomalyAddress(anomaly);
  return run == null ? null : `/anomalies?${new URLSearchParams({ run }).toString()}`;
}
