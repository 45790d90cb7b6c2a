import { expect, it } from "vitest";
import type { Trends } from "../src/api";
import { defaultFilters } from "../src/filters";
import { bars, chartSpan, DAY_MS, daily, total } from "../src/trends";

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

const TODAY = Date.parse("2026-01-22T00:00:00Z");
const date = (ms: number) => new Date(ms).toISOString().slice(0, 10);

it("fills the days without anomalies with 0 and leaves out older ones", () => {
  const { days, counts } = daily(trends, TODAY - 2 * DAY_MS, TODAY);
  expect(counts).toEqual([4, 0, 1]);
  expect(days.map((ms) => new Date(ms).toISOString().slice(0, 10))).toEqual(["2026-01-20", "2026-01-21", "2026-01-22"]);
});

it("begins with the first anomaly where nothing else is asked", () => {
  const { days, counts } = daily(trends, null, TODAY);
  expect([date(days[0] ?? 0), counts[0], days.length]).toEqual(["2025-01-01", 9, 387]);
  expect(daily({ ...trends, days: [] }, null, TODAY).counts).toEqual([0]);
});

it("shows the last 30 days with the chosen span shaded, and more where more is chosen", () => {
  const usual = { asked: "30d", first: TODAY - 29 * DAY_MS, last: TODAY };
  expect(chartSpan(defaultFilters("7d"), NOW)).toEqual({ ...usual, shade: [NOW - 7 * DAY_MS, NOW] });
  expect(chartSpan(defaultFilters("30d"), NOW)).toEqual({ ...usual, shade: null });
  expect(chartSpan(defaultFilters("90d"), NOW)).toEqual({ asked: "90d", first: TODAY - 89 * DAY_MS, last: TODAY, shade: null });
  expect(chartSpan(defaultFilters("all"), NOW)).toEqual({ asked: "all", first: null, last: TODAY, shade: null });
  const own = (from: string, to: string) => chartSpan({ ...defaultFilters("7d"), from, to }, NOW);
  expect(own("2026-01-20T12:00:00Z", "2026-01-21T00:00:00Z")).toEqual({
    ...usual,
    shade: [Date.parse("2026-01-20T12:00:00Z"), Date.parse("2026-01-21T00:00:00Z")],
  });
  const { asked, first, last, shade } = own("2025-06-01T12:00:00Z", "2025-06-03T00:00:00Z");
  expect([asked, date(first ?? 0), date(last), shade]).toEqual([null, "2025-06-01", "2025-06-02", null]);
});

it("measures each bar against the largest, worst first", () => {
  expect(total(trends)).toBe(5);
  expect(bars(trends)).toEqual([
    { severity: "critical", count: 1, share: 0.25, part: 0.2 },
    { severity: "warning", count: 4, share: 1, part: 0.8 },
    { severity: "info", count: 0, share: 0, part: 0 },
  ]);
});

it("X12: counts and shows a severity of a later version", () => {
  const later = { days: [], by_type: {}, by_severity: { critical: 1, fatal: 4 } } as Trends;
  expect(total(later)).toBe(5);
  expect(bars(later).map(({ severity, count, share }) => [severity, count, share])).toEqual([
    ["critical", 1, 0.25],
    ["warning", 0, 0],
    ["info", 0, 0],
    ["fatal", 4, 1],
  ]);
});

it("has flat bars, not broken ones, where nothing was found", () => {
  expect(bars({ days: [], by_severity: {}, by_type: {} }).every(({ share, part }) => share === 0 && part === 0)).toBe(true);
});
