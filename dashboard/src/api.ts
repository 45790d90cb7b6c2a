/**
 * What the server says, and the only place that asks it.
 *
 * The types mirror anomaly v1 and notification v1 (`schemas/`). Every failure ends as an `ApiError` whose `kind` decides
 * what a person sees.
 */

export const TYPES = [
  "SpikeInFailures",
  "ConsecutiveFailures",
  "UnusualExecutionTime",
  "PerformanceDegradation",
  "PatternDeviation",
  "ResourceExhaustion",
  "SignificantScoreChange",
] as const;
export const SEVERITIES = ["critical", "warning", "info"] as const;
export const STATES = ["opened", "ongoing", "resolved"] as const;
export const RANGES = ["24h", "7d", "30d"] as const;

export type AnomalyType = (typeof TYPES)[number];
export type Severity = (typeof SEVERITIES)[number];
export type State = (typeof STATES)[number];
export type Range = (typeof RANGES)[number];

export interface Metrics {
  current_value: number;
  baseline_value: number;
  deviation: number;
  z_score: number | null;
  confidence: number;
  unit: string;
  direction: "up" | "down";
  threshold?: number | null;
}

export interface Affected {
  kind: "workflow" | "execution" | "step" | "resource" | "entity" | "run";
  id: string;
  name?: string | null;
}

export interface Anomaly {
  id: string;
  incident_id: string;
  state: State;
  detected_at: string;
  anomaly_type: AnomalyType;
  severity: Severity;
  description: string;
  entity_id: string;
  entity_name: string;
  entity_kind: "workflow" | "score";
  execution_id?: string | null;
  attempt?: number | null;
  run_id?: string | null;
  metrics: Metrics;
  affected_entities: Affected[];
  investigation_steps: string[];
  gates: string[];
  detector: string;
  profile: string;
  duration_s?: number | null;
  labels?: Record<string, string>;
  url?: string | null;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Trends {
  days: { date: string; count: number }[];
  by_severity: Partial<Record<Severity, number>>;
  by_type: Partial<Record<AnomalyType, number>>;
}

export interface SeriesPoint {
  t: string;
  value: number;
  lower?: number | null;
  upper?: number | null;
  mean?: number | null;
  anomalous: boolean;
  anomaly_id?: string | null;
  execution_id?: string | null;
  status?: string | null;
}

export interface Series {
  points: SeriesPoint[];
  unit: string;
}

export interface Message {
  id: string;
  at: string;
  title?: string;
  body?: string;
  severity?: Severity | null;
  anomaly_id?: string | null;
  run_id?: string | null;
  read: boolean;
}

export interface InboxPage extends Page<Message> {
  unread: number;
}

/** offline: no answer; unauthorised: a token is needed; missing: 404; refused: another 4xx; failed: 5xx or no JSON. */
export type Failure = "offline" | "unauthorised" | "missing" | "refused" | "failed";

export class ApiError extends Error {
  constructor(
    readonly kind: Failure,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

const TOKEN = "stream-detector.token";

/** Keeps the token for this tab alone; it is gone when the tab closes. */
export function keepToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

export function hasToken(): boolean {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** GETs JSON from this server. Throws `ApiError`, or the `AbortError` of `signal`. */
export async function get<T>(path: string, query: URLSearchParams, signal: AbortSignal): Promise<T> {
  const asked = query.toString();
  const answer = await call("GET", asked === "" ? path : `${path}?${asked}`, signal);
  try {
    return (await answer.json()) as T;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("failed", "The server's answer is not JSON.");
  }
}

/** POSTs without a body. Throws `ApiError`. */
export async function post(path: string): Promise<void> {
  await call("POST", path, new AbortController().signal);
}

async function call(method: string, address: string, signal: AbortSignal): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN);
  const headers: Record<string, string> = { Accept: "application/json" };
  if (token !== null) headers["Authorization"] = `Bearer ${token}`;
  let answer: Response;
  try {
    answer = await fetch(address, { method, headers, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("offline", "The server does not answer.");
  }
  if (!answer.ok) throw new ApiError(failureOf(answer.status), await reasonOf(answer));
  return answer;
}

function failureOf(status: number): Failure {
  if (status === 401) return "unauthorised";
  if (status === 404) return "missing";
  return status < 500 ? "refused" : "failed";
}

/** The detail of problem details (RFC 9457), else its title, else the status in words. */
async function reasonOf(answer: Response): Promise<string> {
  const problem: unknown = await answer.json().catch(() => null);
  if (typeof problem === "object" && problem !== null) {
    for (const name of ["detail", "title"]) {
      const text = (problem as Record<string, unknown>)[name];
      if (typeof text === "string" && text !== "") return text;
    }
  }
  return `The server answered ${answer.status} ${answer.statusText}`.trim() + ".";
}
