/** Paths of the pages about one item. Pure. */

export type Kind = "workflow" | "score";
export const ENTITY_PATHS = { workflow: "/workflows", score: "/entities" } as const satisfies Record<Kind, string>;

export function anomalyPath(id: string): string {
  return `/anomalies/${encodeURIComponent(id)}`;
}

export function runPath(id: string): string {
  return `/runs/${encodeURIComponent(id)}`;
}

/** One workflow, one of its variants, or one scored entity. */
export function entityPath(kind: Kind, id: string, variant?: string | null): string {
  const path = `${ENTITY_PATHS[kind]}/${encodeURIComponent(id)}`;
  return variant == null ? path : `${path}?${new URLSearchParams({ variant }).toString()}`;
}

/** The page of what an anomaly is about; undefined for a kind of a later version, which has no page here. */
export function pageOf(kind: string, id: string, variant?: string | null): string | undefined {
  return kind === "workflow" || kind === "score" ? entityPath(kind, id, variant) : undefined;
}
