/**
 * What the server says, and the only place that asks it.
 *
 * The types come from `schemas/openapi.yaml` (`npm run types`), so a changed route or field breaks the build. Every
 * failure ends as an `ApiError` whose `kind` decides what a person sees.
 */

import type { components, paths } from "./openapi";

type Schemas = components["schemas"];
export type Anomaly = Schemas["StoredAnomaly"];
export type AnomalyPage = Schemas["AnomalyPage"];
export type AnomalyType = Anomaly["anomaly_type"];
export type Severity = Anomaly["severity"];
export type State = Anomaly["state"];
export type Affected = Schemas["Affected"];
export type Trends = Schemas["TrendsAnswer"];
export type Series = Schemas["Series"];
export type SeriesPoint = Schemas["Point"];
export type InboxPage = Schemas["InboxPage"];
export type Message = Schemas["InboxMessage"];
export type Range = NonNullable<NonNullable<paths[typeof ANOMALIES]["get"]["parameters"]["query"]>["range"]>;

export const ANOMALIES = "/api/v1/ai/anomalies" satisfies keyof paths;
export const TRENDS = "/api/v1/ai/anomalies/trends" satisfies keyof paths;
export const SERIES = "/api/v1/series" satisfies keyof paths;
export const INBOX = "/api/v1/inbox" satisfies keyof paths;

/** The address of an item's route, its id put in. */
export function withId(route: Extract<keyof paths, `${string}{id}${string}`>, id: string): string {
  return route.replace("{id}", encodeURIComponent(id));
}

export const TYPES = [
  "SpikeInFailures",
  "ConsecutiveFailures",
  "UnusualExecutionTime",
  "PerformanceDegradation",
  "PatternDeviation",
  "ResourceExhaustion",
  "SignificantScoreChange",
] as const satisfies AnomalyType[];
export const SEVERITIES = ["critical", "warning", "info"] as const satisfies Severity[];
export const STATES = ["opened", "ongoing", "resolved"] as const satisfies State[];
export const RANGES = ["24h", "7d", "30d"] as const satisfies Range[];

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
