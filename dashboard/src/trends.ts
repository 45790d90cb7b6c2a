/** Counts per day, made ready for a chart. Pure. */

import type { Trends } from "./api";
import { SEVERITIES } from "./generated/registry";
import { withUnknown } from "./vocabulary";
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

/** Of all severities, those of later versions included. */
export function total(trends: Trends): number {
  return sumOf(trends.by_severity);
}

export function sumOf(counts: Partial<Record<string, number>>): number {
  return Object.values(counts).reduce<number>((sum, count) => sum + (count ?? 0), 0);
}

/** The most severe first, with each one's size relative to the largest (0..1) and its part of all. */
export function bars(trends: Trends): { severity: string; count: number; share: number; part: number }[] {
  const counts: Partial<Record<string, number>> = trends.by_severity;
  const most = Math.max(1, ...Object.values(counts).map((count) => count ?? 0));
  const all = Math.max(1, total(trends));
  return withUnknown(SEVERITIES, Object.keys(counts)).map((severity) => {
    const count = counts[severity] ?? 0;
    return { severity, count, share: count / most, part: count / all };
  });
}
