/** How incidents stand: as the server said, and over it what was decided on this page and is on its way. */

import { useEffect, useState } from "preact/hooks";
import type { ActionKind, Anomaly, IncidentStatus } from "./api";

type Change = Partial<IncidentStatus>;

const decided = new Map<string, Change>();
const listeners = new Set<() => void>();
const UNKNOWN: IncidentStatus = { state: "opened", acknowledged_at: null, acknowledged_by: null, verdict: null };

/** Shows the decision at once. Returns what takes it back. */
export function updateOptimistically(kind: ActionKind, incidents: readonly string[], at: string): () => void {
  const change = expectedChange(kind, at);
  if (change === null) return () => undefined;
  const before = incidents.map((id) => [id, decided.get(id)] as const);
  for (const id of incidents) decided.set(id, { ...decided.get(id), ...change });
  tell();
  return () => {
    for (const [id, earlier] of before) {
      if (earlier === undefined) decided.delete(id);
      else decided.set(id, earlier);
    }
    tell();
  };
}

function expectedChange(kind: ActionKind, at: string): Change | null {
  switch (kind) {
    case "acknowledge":
      return { acknowledged_at: at, acknowledged_by: "you" };
    case "resolve":
      return { state: "resolved" };
    case "expected":
    case "not_an_anomaly":
      return { verdict: kind };
    default:
      return null;
  }
}

/** How the incident of this anomaly stands now. */
export function incidentStatusOf({ incident, incident_id: id, state }: Anomaly): IncidentStatus {
  return { ...(incident ?? { ...UNKNOWN, state }), ...decided.get(id) };
}

function tell(): void {
  for (const listener of listeners) listener();
}

/** Draws the component anew whenever something is decided. */
export function useOptimisticUpdates(): void {
  const [, redraw] = useState(0);
  useEffect(() => {
    const changed = () => redraw((n) => n + 1);
    listeners.add(changed);
    return () => void listeners.delete(changed);
  }, []);
}
