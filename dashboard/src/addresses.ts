/** Addresses of the pages about one thing. Pure. */

export type Kind = "workflow" | "score";
export const WATCHED = { workflow: "/workflows", score: "/entities" } as const satisfies Record<Kind, string>;

export function anomalyAddress(id: string): string {
  return `/anomalies/${encodeURIComponent(id)}`;
}

export function runAddress(id: string): string {
  return `/runs/${encodeURIComponent(id)}`;
}

/** One workflow or scored entity. */
export function watchedAddress(kind: Kind, id: string): string {
  return `${WATCHED[kind]}/${encodeURIComponent(id)}`;
}
