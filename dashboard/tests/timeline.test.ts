import { expect, test } from "vitest";
import type { Action, Anomaly, Notification } from "../src/api";
import { timeline } from "../src/timeline";

const anomaly = { id: "1", state: "opened", severity: "critical", detected_at: "2026-01-22T12:00:00Z", description: "slow" } as Anomaly;
const sent = { id: "n", channel: "slack", outcome: "delivered", reason: "severity critical is sent", at: "2026-01-22T12:00:02Z" } as Notification;
const held = { ...sent, id: "h", channel: "pager", outcome: "suppressed", reason: "silenced until noon", at: "2026-01-22T12:00:03Z" } as Notification;
const silenced = { action_id: "a", kind: "silence", by: "ann", at: "2026-01-22T12:00:01Z", entity: "", until: "2026-01-22T16:00:00Z" } as Action;

test("all that happened, in order, each with its reason", () => {
  const happened = timeline({ anomalies: [anomaly], actions: [silenced], notifications: [held, sent] });
  expect(happened.map(({ kind, title, detail }) => [kind, title, detail])).toEqual([
    ["found", "Opened as critical", "slow"],
    ["decided", "ann silenced it until 2026-01-22 16:00 UTC", ""],
    ["sent", "Slack: delivered", "severity critical is sent"],
    ["held", "Pager: suppressed", "silenced until noon"],
  ]);
});
