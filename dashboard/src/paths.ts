/** Addresses of the pages about one thing. Pure. */

export type Kind = "workflow" | "score";
export const ENTITY_PATHS = { workflow: "/workflows", score: "/entities" } as const satisfies Record<Kind, string>;

export function anomalyPath(id: string): string {
  return `/anomalies/${encodeURIComponent(id)}`;
}

export function runPath(id: string): string {
  return `/runs/${encodeURIComponent(id)}`;
}

/** One workflow or scored entity. */
export function entityPath(kind: Kind, id: string): string {
  return `${ENTITY_PATHS[kind]}/${encodeURIComponent(id)}`;
}
