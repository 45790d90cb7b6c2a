/** Filters are kept in the URL; this maps them from the URL and to the API query. Pure. */

import type { Anomaly, Range } from "./api";
import { SEVERITIES } from "./generated/registry";
import { keyOf, stateKey } from "./state-keys";
import { withUnknown } from "./vocabulary";

/** Relative time ranges, by their name in the URL. */
export const SPANS = {
  "1h": { name: "Last hour", hours: 1 },
  "6h": { name: "Last 6 hours", hours: 6 },
  "24h": { name: "Last 24 hours", hours: 24 },
  "7d": { name: "Last 7 days", hours: 168 },
  "30d": { name: "Last 30 days", hours: 720 },
  "90d": { name: "Last 90 days", hours: 2160 },
  all: { name: "All time", hours: null },
} as const;
export type Span = keyof typeof SPANS;
const USUAL: Span = "7d";
const ASKED_BY_NAME: readonly string[] = ["24h", "7d", "30d"] satisfies Range[];

/** Incident status, with the API query of each. */
export const STATUSES = {
  unacknowledged: { open: "true", acknowledged: "false" },
  acknowledged: { open: "true", acknowledged: "true" },
  resolved: { open: "false" },
} as const;
export type Status = keyof typeof STATUSES;

export interface Filters {
  range: Span;
  /** Any of them; none means all. */
  severity: string[];
  type: string | null;
  /** Of the record. */
  state: string | null;
  incident: Status | null;
  /** The id of one workflow or scored entity, whole, or its key. */
  entity: string;
  /** One variant of whichever workflow. */
  variant: string | null;
  /** A part of its name or id. */
  q: string;
  run: string;
  /** A custom range in place of `range`: RFC 3339 times, or both empty. */
  from: string;
  to: string;
}

/** Reads the URL. Malformed values are ignored; a link to one score run covers all time. */
export function readFilters(query: URLSearchParams): Filters {
  const run = query.get("run")?.trim() ?? "";
  const from = query.get("from") ?? "";
  const to = query.get("to") ?? "";
  const isSpan = !Number.isNaN(Date.parse(from)) && Date.parse(from) < Date.parse(to);
  const severities = query.getAll("severity").flatMap((text) => text.split(","));
  return {
    range: known(Object.keys(SPANS) as Span[], query.get("range")) ?? (run === "" ? USUAL : "all"),
    severity: withUnknown(SEVERITIES, severities.filter((one) => WORD.test(one))).filter((one) => severities.includes(one)),
    type: word(query.get("type")),
    state: word(query.get("state")),
    incident: readStatus(query),
    entity: query.get("entity")?.trim() ?? "",
    variant: query.get("variant") || null,
    q: query.get("q")?.trim() ?? "",
    run,
    from: isSpan ? from : "",
    to: isSpan ? to : "",
  };
}

function readStatus(query: URLSearchParams): Status | null {
  const open = query.get("open");
  if (open === "false") return "resolved";
  if (open !== "true") return null;
  const acknowledged = query.get("acknowledged");
  return acknowledged === "true" ? "acknowledged" : acknowledged === "false" ? "unacknowledged" : null;
}

/** No filter other than the time range. */
export function defaultFilters(range: Span): Filters {
  return { range, severity: [], type: null, state: null, incident: null, entity: "", variant: null, q: "", run: "", from: "", to: "" };
}

/** The path of the list with these filters; defaults are omitted. */
export function listPath(filters: Filters): string {
  const query = new URLSearchParams();
  if (filters.from !== "") {
    query.set("from", filters.from);
    query.set("to", filters.to);
  } else if (filters.range !== (filters.run === "" ? USUAL : "all")) {
    query.set("range", filters.range);
  }
  narrow(query, filters);
  const text = query.toString();
  return text === "" ? "/anomalies" : `/anomalies?${text}`;
}

/** The API query of the filters; `range` replaces their own time range, for counts of other ranges. */
export function apiQuery(filters: Filters, range?: Span): URLSearchParams {
  const query = new URLSearchParams();
  const span = range ?? filters.range;
  if (range === undefined && filters.from !== "") {
    query.set("from", filters.from);
    query.set("to", filters.to);
  } else if (ASKED_BY_NAME.includes(span)) {
    query.set("range", span);
  } else if (SPANS[span].hours !== null) {
    query.set("hours", String(SPANS[span].hours));
  }
  narrow(query, filters);
  return query;
}

function narrow(query: URLSearchParams, filters: Filters): void {
  const { severity, type, state, incident, entity, variant, q, run } = filters;
  if (type !== null) query.set("type", type);
  if (severity.length > 0) query.set("severity", severity.join(","));
  if (state !== null) query.set("state", state);
  if (variant !== null) query.set("variant", variant);
  for (const [name, value] of Object.entries(incident === null ? {} : STATUSES[incident])) query.set(name, value);
  for (const [name, value] of Object.entries({ entity, q, run })) if (value !== "") query.set(name, value);
}

/** Whether any filter other than the time range is set. */
export function isNarrowed({ severity, type, state, incident, entity, variant, q, run }: Filters): boolean {
  return severity.length > 0 || type !== null || state !== null || incident !== null || entity !== "" || variant !== null || q !== "" || run !== "";
}

/** The severities with one toggled; selecting all of them is the same as none. */
export function toggled(chosen: readonly string[], severity: string): string[] {
  const next = withUnknown(SEVERITIES, chosen, [severity]).filter((one) => chosen.includes(one) !== (one === severity));
  return SEVERITIES.every((one) => next.includes(one)) ? [] : next;
}

const HOUR_MS = 3_600_000;

/** Whether a live anomaly matches the filters, as the server would decide. */
export function matchesFilters(anomaly: Anomaly, filters: Filters, nowMs: number): boolean {
  const at = Date.parse(anomaly.detected_at);
  const { range, type, severity, state, incident, entity, variant, q, run, from, to } = filters;
  const keys = [anomaly.entity_id, keyOf(anomaly), stateKey(anomaly.entity_kind, anomaly.entity_id)];
  const hours = SPANS[range].hours;
  const within = from !== "" ? at >= Date.parse(from) && at < Date.parse(to) : hours === null || at >= nowMs - hours * HOUR_MS;
  const text = `${anomaly.entity_name}\n${anomaly.entity_id}`.toLowerCase();
  return (
    within &&
    (type === null || anomaly.anomaly_type === type) &&
    (severity.length === 0 || severity.includes(anomaly.severity)) &&
    (state === null || anomaly.state === state) &&
    (incident === null || incident === (anomaly.state === "resolved" ? "resolved" : "unacknowledged")) &&
    (entity === "" || keys.includes(entity)) &&
    (variant === null || anomaly.variant === variant) &&
    (q === "" || text.includes(q.toLowerCase())) &&
    (run === "" || anomaly.run_id === run)
  );
}

function known<T extends string>(allowed: readonly T[], value: string | null): T | null {
  return allowed.find((one) => one === value) ?? null;
}

/** Names of types, severities and states. Those of later versions are kept: the list may hold such anomalies. */
const WORD = /^\w{1,64}$/;

function word(value: string | null): string | null {
  return value !== null && WORD.test(value) ? value : null;
}
