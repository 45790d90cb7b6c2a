import { expect, it } from "vitest";
import type { Trends } from "../src/api";
import { bars, daily, total } from "../src/trends";

const NOW = Date.parse("2026-01-22T12:00:00Z");
const trends: Trends = {
  days: [
    { date: "2026-01-20", count: 4 },
    { date: "2026-01-22", count: 1 },
    { date: "2025-01-01", count: 9 },
  ],
  by_severity: { critical: 1, warning: 4 },
  by_type: {},
};

it("fills the days without anomalies with 0 and leaves out older ones", () => {
  const { days, counts } = daily(trends, 3, NOW);
  expect(counts).toEqual([4, 0, 1]);
  expect(days.map((ms) => new Date(ms).toISOString().slice(0, 10))).toEqual(["2026-01-20", "2026-01-21", "2026-01-22"]);
});

it("measures each bar against the largest, worst first", () => {
  expect(total(trends)).toBe(5);
  expect(bars(trends)).toEqual([
    { severity: "critical", count: 1, share: 0.25, part: 0.2 },
    { severity: "warning", count: 4, share: 1, part: 0.8 },
    { severity: "info", count: 0, share: 0, part: 0 },
  ]);
});

it("has flat bars, not broken ones, where nothing was found", () => {
  expect(bars({ days: [], by_severity: {}, by_type: {} }).every(({ share, part }) => share === 0 && part === 0)).toBe(true);
});
