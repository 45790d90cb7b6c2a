/** Counts per day, made ready for a chart. Pure. */

import { SEVERITIES, type Severity, type Trends } from "./api";

const DAY_MS = 86_400_000;

/** One count for each of the last `length` days (UTC) up to today; a day the server left out has 0. */
export function daily(trends: Trends, length: number, nowMs: number): { days: number[]; counts: number[] } {
  const found = new Map(trends.days.map(({ date, count }) => [Date.parse(date.slice(0, 10)), count]));
  const today = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const days = Array.from({ length }, (_, index) => today - (length - 1 - index) * DAY_MS);
  return { days, counts: days.map((at) => found.get(at) ?? 0) };
}

export function total(trends: Trends): number {
  return SEVERITIES.reduce((sum, severity) => sum + (trends.by_severity[severity] ?? 0), 0);
}

/** Worst first, with each one's share of the largest (0..1). */
export function bars(trends: Trends): { severity: Severity; count: number; share: number; part: number }[] {
  const counts = SEVERITIES.map((severity) => trends.by_severity[severity] ?? 0);
  const most = Math.max(1, ...counts);
  const all = Math.max(1, total(trends));
  return SEVERITIES.map((severity, index) => {
    const count = counts[index] ?? 0;
    return { severity, count, share: count / most, part: count / all };
  });
}
