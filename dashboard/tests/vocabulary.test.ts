import { expect, it } from "vitest";
import type { Anomaly, Notification } from "../src/api";
import { threshold } from "../src/format";
import { SEVERITIES } from "../src/generated/registry";
import { pageOf } from "../src/paths";
import { timeline } from "../src/timeline";
import { channelName, kindName, readable, severityClass, severityRank, TYPES, typeInfo, typeName, withUnknown } from "../src/vocabulary";

it("has a title and a description for every type of the registry", () => {
  expect(TYPES.length).toBeGreaterThanOrEqual(7);
  for (const type of TYPES) {
    expect(typeName(type)).toMatch(/^[A-Z][a-z]+( [a-z]+)*$/);
    expect(typeInfo(type).description).not.toBe("");
  }
});

it.each([
  ["StuckQueue", "Stuck queue"],
  ["CPUThrottling", "CPU throttling"],
  ["timed_out", "Timed out"],
  ["very-bad", "Very bad"],
  ["toString", "To string"],
  ["critical", "Critical"],
  ["", "Unknown"],
  [" ", "Unknown"],
])("makes %s readable: %s", (name, shown) => expect(readable(name)).toBe(shown));

it("X12: names what a later version calls differently", () => {
  expect(typeName("StuckQueue")).toBe("Stuck queue");
  expect(typeName("toString")).toBe("To string");
  expect(typeInfo("StuckQueue")).toMatchObject({ isTiming: false, isFailure: false, thresholdUnit: "value" });
  expect(channelName("pager_duty")).toBe("Pager duty");
  expect(channelName("slack_bot")).toBe("Slack bot");
  expect(kindName("queue")).toBe("Queue");
  expect(kindName("constructor")).toBe("Constructor");
  expect(pageOf("queue", "a")).toBe(undefined);
  expect(pageOf("score", "a/b")).toBe("/entities/a%2Fb");
  expect(kindName("run")).toBe("Score run");
});

it("X12: gives a severity of a later version colours of its own, and the highest rank", () => {
  expect([...SEVERITIES].map(severityClass)).toEqual([...SEVERITIES]);
  expect(severityClass("fatal")).toBe("unknown");
  expect(severityClass("toString")).toBe("unknown");
  expect(["info", "fatal", "warning", "critical"].sort((a, b) => severityRank(a) - severityRank(b))).toEqual(["fatal", "critical", "warning", "info"]);
});

it("X12: offers values of later versions after the known ones, each once", () => {
  expect(withUnknown(["a", "b"], ["z", "a"], ["y", "z"], undefined)).toEqual(["a", "b", "y", "z"]);
});

it("X12: shows the threshold of a type of a later version in its own unit", () => {
  const anomaly = { anomaly_type: "StuckQueue", profile: "tuned", metrics: { threshold: 90, unit: "s" } } as unknown as Anomaly;
  expect(threshold(anomaly)).toEqual({ value: "1 m 30 s", note: "alert threshold" });
});

it("X12: lists a state, severity and channel of a later version in the timeline", () => {
  const anomaly = { id: "1", state: "paused", severity: "fatal", detected_at: "2026-01-22T12:00:00Z", description: "slow", entity_name: "", entity_id: "" } as Anomaly;
  const sent = { id: "n", channel: "pager_duty", outcome: "delivered", reason: "", at: "2026-01-22T12:00:02Z" } as Notification;
  const entries = timeline({ anomalies: [anomaly], actions: [], notifications: [sent] });
  expect(entries.map(({ title }) => title)).toEqual(["Paused, fatal", "Pager duty: delivered"]);
});
