/** Counts per day, made ready for a chart. Pure. */

import { SEVERITIES, type Severity, type Trends } from "./api";
import { SPANS, type Filters, type Span } from "./filters";

export const DAY_MS = 86_400_000;
const USUAL_DAYS = 30;

/** What a chart over time shows: the question for it, its days (UTC), and what of it is looked at. */
export interface ChartSpan {
  /** The span to ask for; null means the filters' own. */
  asked: Span | null;
  /** The first and last day, ms; the first is null where it is that of the first anomaly. */
  first: number | null;
  last: number;
  /** Shaded: from and to in ms; null where all is looked at. */
  shade: readonly [number, number] | null;
}

/** The last 30 days with the chosen span shaded, so that the eye keeps its place; more where more is chosen. */
export function chartSpan({ range, from, to }: Filters, nowMs: number): ChartSpan {
  const today = startOfDay(nowMs);
  const usual = today - (USUAL_DAYS - 1) * DAY_MS;
  if (from !== "") {
    const [begin, end] = [Date.parse(from), Date.parse(to)];
    if (begin >= usual) return { asked: "30d", first: usual, last: today, shade: [begin, end] };
    return { asked: null, first: startOfDay(begin), last: startOfDay(end - 1), shade: null };
  }
  const { hours } = SPANS[range];
  if (hours === null) return { asked: "all", first: null, last: today, shade: null };
  if (hours > USUAL_DAYS * 24) return { asked: range, first: today - (hours / 24 - 1) * DAY_MS, last: today, shade: null };
  return { asked: "30d", first: usual, last: today, shade: hours === USUAL_DAYS * 24 ? null : [nowMs - hours * 3_600_000, nowMs] };
}

/** One count for each day (UTC) from the first to the last; a day the server left out has 0. */
export function daily(trends: Trends, first: number | null, last: number): { days: number[]; counts: number[] } {
  const found = new Map(trends.days.map(({ date, count }) => [Date.parse(date.slice(0, 10)), count]));
  const begin = Math.min(last, first ?? Math.min(last, ...found.keys()));
  const days = Array.from({ length: Math.round((last - begin) / DAY_MS) + 1 }, (_, index) => begin + index * DAY_MS);
  return { days, counts: days.map((at) => found.get(at) ?? 0) };
}

export function startOfDay(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS;
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
