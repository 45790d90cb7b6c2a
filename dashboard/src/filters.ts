/** Filters live in the address alone; this maps it to what the page shows and to what the server is asked. Pure. */

import { RANGES, SEVERITIES, STATES, TYPES, type AnomalyType, type Range, type Severity, type State } from "./api";

export interface Filters {
  range: Range | "all";
  type: AnomalyType | null;
  severity: Severity | null;
  state: State | null;
  /** The id of one workflow or scored entity, whole. */
  entity: string;
  /** A part of its name or id. */
  q: string;
  run: string;
}

const NAMES = ["type", "severity", "state", "entity", "q", "run"] as const;

/** Reads the address. Unknown values are ignored; a link to one score run shows the run whenever it was. */
export function readFilters(query: URLSearchParams): Filters {
  const run = query.get("run")?.trim() ?? "";
  return {
    range: known([...RANGES, "all"] as const, query.get("range")) ?? (run === "" ? "7d" : "all"),
    type: known(TYPES, query.get("type")),
    severity: known(SEVERITIES, query.get("severity")),
    state: known(STATES, query.get("state")),
    entity: query.get("entity")?.trim() ?? "",
    q: query.get("q")?.trim() ?? "",
    run,
  };
}

/** The filters with nothing chosen but the range. */
export function anyOf(range: Filters["range"]): Filters {
  return { range, type: null, severity: null, state: null, entity: "", q: "", run: "" };
}

/** The address of the list with these filters; what is the default is left out. */
export function addressOf(filters: Filters): string {
  const query = new URLSearchParams();
  if (filters.range !== (filters.run === "" ? "7d" : "all")) query.set("range", filters.range);
  for (const name of NAMES) {
    const value = filters[name];
    if (value !== null && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return text === "" ? "/anomalies" : `/anomalies?${text}`;
}

/** What the server is asked; `range` may differ from the filters', for the counts of other spans. */
export function questionOf(filters: Filters, range: Filters["range"] = filters.range): URLSearchParams {
  const query = new URLSearchParams();
  if (range !== "all") query.set("range", range);
  for (const name of NAMES) {
    const value = filters[name];
    if (value !== null && value !== "") query.set(name, value);
  }
  return query;
}

/** Whether anything but the range is chosen. */
export function isNarrowed(filters: Filters): boolean {
  return NAMES.some((name) => filters[name] !== null && filters[name] !== "");
}

function known<T extends string>(allowed: readonly T[], value: string | null): T | null {
  return allowed.find((one) => one === value) ?? null;
}
