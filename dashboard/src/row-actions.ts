/** Row selection and actions of the anomaly list, by pointer and hotkey. */

import { useEffect, useRef, useState } from "preact/hooks";
import { submitAction, errorText } from "./actions";
import { fetchAllMatches } from "./anomalies";
import type { ActionKind, Anomaly } from "./api";
import type { Filters } from "./filters";
import { focusedId, moveFocus, useHotkeys } from "./hotkeys";
import type { RowActions } from "./components/anomaly-table";
import { useCanAct } from "./permissions";
import { showToast } from "./toast";
import { idsBetween } from "./selection";

interface RowActionState {
  /** Number of selected rows. */
  count: number;
  /** For the table; absent for read-only sessions. */
  rowActions: RowActions | undefined;
  act: (kind: ActionKind) => void;
  /** Incidents of the open silence dialog. */
  silencing: string[] | null;
  endSilencing: (done: boolean) => void;
  clear: () => void;
  /** Selects every match, also rows not loaded; absent unless all loaded rows are selected and more exist. */
  selectAllMatches: (() => void) | undefined;
}

/** `more`: whether there are more rows than `items`. */
export function useRowActions(items: readonly Anomaly[], more: boolean, filters: Filters): RowActionState {
  const canAct = useCanAct();
  /** Anomaly -> its incident. */
  const [chosen, setChosen] = useState<ReadonlyMap<string, string>>(new Map());
  const [silencing, setSilencing] = useState<string[] | null>(null);
  const last = useRef<string | null>(null);
  const clear = () => setChosen(new Map());
  useEffect(clear, [filters]);

  const choose = (ids: readonly string[], on: boolean) => {
    const next = new Map(chosen);
    for (const { id, incident_id: incident } of items) {
      if (!ids.includes(id)) continue;
      if (on) next.set(id, incident);
      else next.delete(id);
    }
    setChosen(next);
  };
  const toggle = (id: string, range: boolean) => {
    choose(range ? idsBetween(items.map((one) => one.id), last.current, id) : [id], !chosen.has(id));
    last.current = id;
  };
  const allChosen = items.length > 0 && items.every(({ id }) => chosen.has(id));
  const act = (kind: ActionKind) => {
    const focused = items.find(({ id }) => id === focusedId())?.incident_id;
    const incidents = [...new Set(chosen.size > 0 ? chosen.values() : focused === undefined ? [] : [focused])];
    if (!canAct || incidents.length === 0) return;
    if (kind === "silence") {
      setSilencing(incidents);
      return;
    }
    if (chosen.size > 0) clear();
    void submitAction({ kind, incident_ids: incidents });
  };
  const extend = (step: 1 | -1) => {
    const before = focusedId();
    moveFocus(step);
    const ids = [before, focusedId()].filter((id) => id !== null);
    if (canAct) choose(ids, true);
  };
  const ofFocused = (then: (id: string) => void) => {
    const id = focusedId();
    if (canAct && id !== null) then(id);
  };
  useHotkeys({
    j: () => moveFocus(1),
    k: () => moveFocus(-1),
    J: () => extend(1),
    K: () => extend(-1),
    x: () => ofFocused((id) => toggle(id, false)),
    X: () => ofFocused((id) => toggle(id, true)),
    a: () => act("acknowledge"),
    r: () => act("resolve"),
    s: () => act("silence"),
    Escape: clear,
  });
  const selectAllMatches = () => {
    fetchAllMatches(filters).then(
      (found) => setChosen(new Map(found.map(({ id, incident_id: incident }) => [id, incident]))),
      (error: unknown) => showToast(errorText(error), true),
    );
  };
  return {
    count: chosen.size,
    rowActions: canAct
      ? {
          chosen: new Set(chosen.keys()),
          toggle,
          toggleAll: () => (allChosen ? clear() : choose(items.map(({ id }) => id), true)),
          acknowledge: ({ incident_id: incident }) => void submitAction({ kind: "acknowledge", incident_ids: [incident] }),
        }
      : undefined,
    act,
    silencing,
    endSilencing: (done) => {
      setSilencing(null);
      if (done) clear();
    },
    clear,
    selectAllMatches: more && allChosen && chosen.size === items.length ? selectAllMatches : undefined,
  };
}
