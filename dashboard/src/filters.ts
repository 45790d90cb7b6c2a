/** Filters live in the address alone; this maps it to what the page shows and to what the server is asked. Pure. */

import { RANGES, SEVERITIES, STATES, TYPES, type Anomaly, type AnomalyType, type Range, type Severity, type State } from "./api";

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
  /** A span of its own in place of the range: instants, or both empty. */
  from: string;
  to: string;
}

const NAMES = ["type", "severity", "state", "entity", "q", "run"] as const;

/** Reads the address. Unknown values are ignored; a link to one score run shows the run whenever it was. */
export function readFilters(query: URLSearchParams): Filters {
  const run = query.get("run")?.trim() ?? "";
  const from = query.get("from") ?? "";
  const to = query.get("to") ?? "";
  const isSpan = !Number.isNaN(Date.parse(from)) && Date.parse(from) < Date.parse(to);
  return {
    range: known([...RANGES, "all"] as const, query.get("range")) ?? (run === "" ? "7d" : "all"),
    type: known(TYPES, query.get("type")),
    severity: known(SEVERITIES, query.get("severity")),
    state: known(STATES, query.get("state")),
    entity: query.get("entity")?.trim() ?? "",
    q: query.get("q")?.trim() ?? "",
    run,
    from: isSpan ? from : "",
    to: isSpan ? to : "",
  };
}

/** The filters with nothing chosen but the range. */
export function anyOf(range: Filters["range"]): Filters {
  return { range, type: null, severity: null, state: null, entity: "", q: "", run: "", from: "", to: "" };
}

/** The address of the list with these filters; what is the default is left out. */
export function addressOf(filters: Filters): string {
  const query = new URLSearchParams();
  if (filters.from !== "") {
    query.set("from", filters.from);
    query.set("to", filters.to);
  } else if (filters.range !== (filters.run === "" ? "7d" : "all")) {
    query.set("range", filters.range);
  }
  for (const name of NAMES) {
    const value = filters[name];
    if (value !== null && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return text === "" ? "/anomalies" : `/anomalies?${text}`;
}

/** What the server is asked; `range` in place of the filters' own span, for the counts of other spans. */
export function questionOf(filters: Filters, range?: Filters["range"]): URLSearchParams {
  const query = new URLSearchParams();
  const span = range ?? filters.range;
  if (range === undefined && filters.from !== "") {
    query.set("from", filters.from);
    query.set("to", filters.to);
  } else if (span !== "all") {
    query.set("range", span);
  }
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

const RANGE_MS: Record<Range, number> = { "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000 };

/** Whether an anomaly that just came belongs in this list, as the server would answer. */
export function belongs(anomaly: Anomaly, filters: Filters, nowMs: number): boolean {
  const at = Date.parse(anomaly.detected_at);
  const { range, type, severity, state, entity, q, run, from, to } = filters;
  const within = from !== "" ? at >= Date.parse(from) && at < Date.parse(to) : range === "all" || at >= nowMs - RANGE_MS[range];
  const text = `${anomaly.entity_name}\n${anomaly.entity_id}`.toLowerCase();
  return (
    within &&
    (type === null || anomaly.anomaly_type === type) &&
    (severity === null || anomaly.severity === severity) &&
    (state === null || anomaly.state === state) &&
    (entity === "" || anomaly.entity_id === entity || `${anomaly.entity_kind}:${anomaly.entity_id}` === entity) &&
    (q === "" || text.includes(q.toLowerCase())) &&
    (run === "" || anomaly.run_id === run)
  );
}

function known<T extends string>(allowed: readonly T[], value: string | null): T | null {
  return allowed.find((one) => one === value) ?? null;
}
