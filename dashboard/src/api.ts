/**
 * The API client: nothing else calls the server.
 *
 * The types come from `schemas/openapi.yaml` (`npm run types`), so a changed route or field breaks the build. Every
 * failure becomes an `ApiError`; its `kind` decides what is shown.
 */

import { parseJson } from "./plain-text";
import type { components, paths } from "./openapi";

type Schemas = components["schemas"];
export type IncidentStatus = Schemas["IncidentBrief"];
/** Items of a list carry the status of their incident; items of the live stream and of the detail route do not. */
export type Anomaly = Schemas["StoredAnomaly"] & { incident?: IncidentStatus | null; run_evidence?: Schemas["AnomalyDetail"]["run_evidence"] };
export interface AnomalyPage extends Omit<Schemas["AnomalyPage"], "items"> {
  items: Anomaly[];
}
export type Facets = Schemas["AnomalyFacets"];
export type Affected = Schemas["Affected"];
export type Trends = Schemas["Trends"];
export type Series = Schemas["Series"];
export type SeriesPoint = Schemas["Point"];
export type InboxPage = Schemas["InboxPage"];
export type Message = Schemas["InboxMessage"];
export type Baseline = Schemas["StoredBaseline"];
export type BaselinePage = Schemas["BaselinePage"];
export type Execution = Schemas["PastExecution"];
export type RunningPage = Schemas["RunningPage"];
export type Running = Schemas["RunningExecution"];
export type SchedulePage = Schemas["SchedulePage"];
export type ExpectedRuns = Schemas["ExpectedRuns"];
export type ExecutionList = Schemas["ExecutionList"];
export type Run = Schemas["StoredRun"];
export type Range = NonNullable<NonNullable<paths[typeof ANOMALIES]["get"]["parameters"]["query"]>["range"]>;

type Answer<P extends keyof paths> = paths[P] extends { get: { responses: { 200: { content: { "application/json": infer A } } } } } ? A : never;
export type Incidents = Answer<typeof INCIDENTS>;
export type Incident = Incidents["items"][number];
export type IncidentDetail = Answer<"/api/v1/incidents/{id}">;
export type Action = IncidentDetail["actions"][number];
export type Notification = IncidentDetail["notifications"][number];
export type ActionKind = Action["kind"];
export type Silence = Answer<typeof SILENCES>["items"][number];
export type Overview = Answer<typeof OVERVIEW>;
export type Explanation = Answer<typeof WHY>;
export type Setting = Answer<typeof SETTINGS>["items"][number];
export type Preview = Answer<typeof PREVIEW>;
export type DeadLetter = Answer<typeof DEAD_LETTERS>["items"][number];
export type DeadLetterDetail = Answer<typeof ONE_DEAD_LETTER>;
export type Health = Answer<typeof HEALTH>;
export type Session = Answer<typeof SESSION>;

export const ANOMALIES = "/api/v1/ai/anomalies" satisfies keyof paths;
export const TRENDS = "/api/v1/ai/anomalies/trends" satisfies keyof paths;
export const SERIES = "/api/v1/series" satisfies keyof paths;
export const FACETS = "/api/v1/ai/anomalies/facets" satisfies keyof paths;
export const EXPORT = "/api/v1/ai/anomalies/export" satisfies keyof paths;
export const WORKFLOWS = "/api/v1/workflows" satisfies keyof paths;
export const ENTITIES = "/api/v1/entities" satisfies keyof paths;
export const EXECUTIONS = "/api/v1/executions" satisfies keyof paths;
export const RUNNING = "/api/v1/running" satisfies keyof paths;
export const SCHEDULE = "/api/v1/schedule" satisfies keyof paths;
export const RUNS = "/api/v1/runs" satisfies keyof paths;
export const INCIDENTS = "/api/v1/incidents" satisfies keyof paths;
export const ACTIONS = "/api/v1/actions" satisfies keyof paths;
export const SILENCES = "/api/v1/silences" satisfies keyof paths;
export const OVERVIEW = "/api/v1/overview" satisfies keyof paths;
export const WHY = "/api/v1/why" satisfies keyof paths;
export const SETTINGS = "/api/v1/settings" satisfies keyof paths;
export const PREVIEW = "/api/v1/settings/preview" satisfies keyof paths;
export const DEAD_LETTERS = "/api/v1/dead-letters" satisfies keyof paths;
export const ONE_DEAD_LETTER = "/api/v1/dead-letters/{id}" satisfies keyof paths;
export const HEALTH = "/api/v1/health" satisfies keyof paths;
export const SESSION = "/api/v1/session" satisfies keyof paths;
export const STREAM = "/api/v1/stream" satisfies keyof paths;
export const INBOX = "/api/v1/inbox" satisfies keyof paths;
export const INBOX_READ = "/api/v1/inbox/read" satisfies keyof paths;
export const EVENTS = "/api/v1/events" satisfies keyof paths;

/** The path of an item's route with its id filled in. */
export function withId(route: Extract<keyof paths, `${string}{id}${string}`>, id: string): string {
  return route.replace("{id}", encodeURIComponent(id));
}

export const RANGES = ["24h", "7d", "30d"] as const satisfies Range[];

/** offline: no response; unauthorised: 401; forbidden: 403; missing: 404, deleted: 404 of what an operator deleted; refused: another 4xx; failed: 5xx or no JSON. */
export type Failure = "offline" | "unauthorised" | "forbidden" | "missing" | "deleted" | "refused" | "failed";

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

/** Keeps the token for this tab only (sessionStorage). */
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
    return parseJson(await answer.text()) as T;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("failed", "The server's response is not JSON.");
  }
}

/** Sends a change. Resolves with the JSON of the response, or null if it has none. Throws `ApiError`. */
export async function send(method: "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> {
  const answer = await call(method, path, new AbortController().signal, body);
  return answer.status === 204 ? null : await answer.text().then(parseJson).catch(() => null);
}

/**
 * Exchanges the token of this tab for a session, whose cookie no script can read. The live stream needs the session,
 * because EventSource cannot send a header. Until the exchange succeeds, requests carry the token.
 */
export async function openSession(): Promise<void> {
  if (!hasToken()) return;
  try {
    await send("POST", SESSION);
    sessionStorage.removeItem(TOKEN);
  } catch {
    // The next refused request reports the reason.
  }
}

async function call(method: string, address: string, signal: AbortSignal, body?: unknown): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN);
  const headers: Record<string, string> = { Accept: "application/json" };
  if (token !== null) headers["Authorization"] = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    answer = await fetch(address, { method, headers, signal, ...sent });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("offline", "The server does not respond.");
  }
  if (!answer.ok) throw await errorOf(answer);
  return answer;
}

async function errorOf(answer: Response): Promise<ApiError> {
  const problem: unknown = await answer.text().then(parseJson).catch(() => null);
  const deleted = typeof problem === "object" && problem !== null && "deleted_at" in problem;
  return new ApiError(deleted ? "deleted" : failureOf(answer.status), reasonOf(answer, problem));
}

function failureOf(status: number): Failure {
  if (status === 401) return "unauthorised";
  if (status === 403) return "forbidden";
  if (status === 404) return "missing";
  return status < 500 ? "refused" : "failed";
}

/** The `detail` of the problem details (RFC 9457), else the `title`, else the HTTP status. */
function reasonOf(answer: Response, problem: unknown): string {
  if (typeof problem === "object" && problem !== null) {
    for (const name of ["detail", "title"]) {
      const text = (problem as Record<string, unknown>)[name];
      if (typeof text === "string" && text !== "") return text;
    }
  }
  return `The server responded with ${answer.status} ${answer.statusText}`.trim() + ".";
}
