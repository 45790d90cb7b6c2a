/** The status of incidents: as reported by the server, overlaid with actions of this page that are in flight. */

import { useEffect, useState } from "preact/hooks";
import type { ActionKind, Anomaly, IncidentStatus } from "./api";

type Change = Partial<IncidentStatus>;

const decided = new Map<string, Change>();
const listeners = new Set<() => void>();
const UNKNOWN: IncidentStatus = { state: "opened", acknowledged_at: null, acknowledged_by: null, verdict: null, end_reason: null };

/** Applies an action at once. Returns a function that rolls it back. */
export function updateOptimistically(kind: ActionKind, incidents: readonly string[], at: string): () => void {
  const change = expectedChange(kind, at);
  if (change === null) return () => undefined;
  const before = incidents.map((id) => [id, decided.get(id)] as const);
  for (const id of incidents) decided.set(id, { ...decided.get(id), ...change });
  notifyListeners();
  return () => {
    for (const [id, earlier] of before) {
      if (earlier === undefined) decided.delete(id);
      else decided.set(id, earlier);
    }
    notifyListeners();
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

/** The current status of an anomaly's incident. */
export function incidentStatusOf({ incident, incident_id: id, state }: Anomaly): IncidentStatus {
  return { ...(incident ?? { ...UNKNOWN, state }), ...decided.get(id) };
}

function notifyListeners(): void {
  for (const listener of listeners) listener();
}

/** Rerenders the component whenever an optimistic update changes. */
export function useOptimisticUpdates(): void {
  const [, redraw] = useState(0);
  useEffect(() => {
    const changed = () => redraw((n) => n + 1);
    listeners.add(changed);
    return () => void listeners.delete(changed);
  }, []);
}
