/** How many readings of a history a page shows, and up to when: both in its address alone. Pure. */

/** The longest is as much as the server gives at once; `until` reaches what lies before it. */
export const LENGTHS = [200, 2_000, 10_000] as const;

export interface SeriesWindow {
  readings: (typeof LENGTHS)[number];
  /** An instant, inclusive; absent: now. */
  until: string | undefined;
}

/** Reads the address. Unknown values are ignored. */
export function readSeriesWindow(query: URLSearchParams): SeriesWindow {
  const until = query.get("until") ?? "";
  return {
    readings: LENGTHS.find((length) => String(length) === query.get("readings")) ?? LENGTHS[0],
    until: Number.isNaN(Date.parse(until)) ? undefined : until,
  };
}

/** The address of the page at `path` with this stretch of its history. */
export function seriesWindowPath(path: string, { readings, until }: SeriesWindow): string {
  const query = new URLSearchParams();
  if (readings !== LENGTHS[0]) query.set("readings", String(readings));
  if (until !== undefined) query.set("until", until);
  return query.size === 0 ? path : `${path}${path.includes("?") ? "&" : "?"}${query.toString()}`;
}

/** What lies before, where the server gave as many as were asked for. Its last reading is the first of these. */
export function before({ readings }: SeriesWindow, given: readonly { t: string }[]): SeriesWindow | null {
  const first = given[0];
  return first === undefined || given.length < readings ? null : { readings, until: first.t };
}
