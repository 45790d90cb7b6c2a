import { describe, expect, it } from "vitest";
import { ago, axisTime, day, duration, exact, iso, spanWords } from "../src/time";

const NOW = Date.parse("2026-01-22T12:00:00Z");

describe("ago", () => {
  it.each([
    ["2026-01-22T11:59:30Z", "just now"],
    ["2026-01-22T12:00:20Z", "just now"],
    ["2026-01-22T11:59:00Z", "1 minute ago"],
    ["2026-01-22T11:00:01Z", "59 minutes ago"],
    ["2026-01-22T10:01:00Z", "1 hour ago"],
    ["2026-01-21T12:00:00Z", "yesterday"],
    ["2026-01-01T12:00:00Z", "21 days ago"],
    ["2025-10-22T12:00:00Z", "3 months ago"],
    ["2026-01-22T12:05:00Z", "in 5 minutes"],
  ])("%s is %s", (instant, words) => expect(ago(instant, NOW)).toBe(words));
});

describe("duration", () => {
  it.each([
    [0, "0 s"],
    [0.0421, "42.1 ms"],
    [0.85, "850 ms"],
    [1, "1 s"],
    [7.5, "7.5 s"],
    [42.26, "42.3 s"],
    [59.96, "1 m"],
    [252, "4 m 12 s"],
    [3600, "1 h"],
    [7500, "2 h 5 m"],
    [86_400 * 3 + 4 * 3600, "3 d 4 h"],
    [-127, "−2 m 7 s"],
  ])("%d s is %s", (seconds, words) => expect(duration(seconds)).toBe(words));
});

it("says exact instants in UTC, whatever their zone", () => {
  expect(exact("2026-01-22T01:05:00+01:00")).toBe("22 Jan 2026, 00:05:00 UTC");
  expect(day(NOW)).toBe("22 Jan");
});

it("adds the hour to a time axis only where marks are less than a day apart", () => {
  expect(axisTime(NOW / 1000, 86_400)).toBe("22 Jan");
  expect(axisTime(NOW / 1000, 3600)).toBe("22 Jan 12:00");
});

it("says a span with the date once where it is of one day", () => {
  expect(spanWords("2026-01-22T06:00:00Z", "2026-01-22T12:00:00Z")).toBe("22 Jan 06:00 to 12:00");
  expect(spanWords("2026-01-22T06:00:00Z", "2026-01-23T00:00:00Z")).toBe("22 Jan 06:00 to 23 Jan 00:00");
  expect(iso(NOW)).toBe("2026-01-22T12:00:00Z");
});
