import { expect, it } from "vitest";
import { sampleCommand, sampleEvents } from "../src/sample-events";

it("publishes three failures in a row that ended just now", () => {
  const now = Date.parse("2026-01-22T12:00:00Z");
  const events = sampleEvents(now);
  expect(events.map(({ status, finished_at: at }) => [status, at])).toEqual([
    ["failure", "2026-01-22T11:59:57.000Z"],
    ["failure", "2026-01-22T11:59:58.000Z"],
    ["failure", "2026-01-22T11:59:59.000Z"],
  ]);
  expect(new Set(events.map(({ execution_id: id }) => id)).size).toBe(3);
  const lines = sampleCommand(now).split("\n");
  expect(lines.slice(1, 4).map((line) => JSON.parse(line) as unknown)).toEqual(events);
  expect(lines.at(-1)).toBe("stream-detector publish hello.jsonl");
});
