/** State keys, by which the API, silences and actions name what has a baseline. Pure. */

import type { Anomaly } from "./api";
import { shownName } from "./plain-text";

/** All but A-Z a-z 0-9 - _ . ~ in percent-encoding, as `stream_detector.events.variant` does. */
function encoded(variant: string): string {
  return encodeURIComponent(variant).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The key of a workflow, of one of its variants, or of a scored entity. That of a workflow means all of its variants. */
export function stateKey(kind: string, id: string, variant?: string | null): string {
  return variant == null ? `${kind}:${id}` : `${kind}/${encoded(variant)}:${id}`;
}

/** The key of what an anomaly is about. */
export function keyOf({ entity_kind: kind, entity_id: id, variant }: Pick<Anomaly, "entity_kind" | "entity_id" | "variant">): string {
  return stateKey(kind, id, variant);
}

/** The name of what an anomaly is about; of a variant `app (schedule)`. */
export function nameOf({ entity_name: name, entity_id: id, variant }: Pick<Anomaly, "entity_name" | "entity_id" | "variant">): string {
  const shown = name || shownName(id);
  return variant == null ? shown : `${shown} (${shownName(variant)})`;
}
