/** The buttons of one incident, their keys, and a comment. */

import { useState } from "preact/hooks";
import { decide } from "../acts";
import type { ActionKind, Anomaly, IncidentDetail } from "../api";
import { useKeys } from "../keys";
import { useMayAct } from "../rights";
import { exact } from "../times";
import { Dialog } from "./dialog";
import { Icon } from "./marks";
import { SilenceDialog } from "./silence";

export function Decisions({ anomaly, incident }: { anomaly: Anomaly; incident: IncidentDetail | null }) {
  const mayAct = useMayAct();
  const [busy, setBusy] = useState(false);
  const [silencing, setSilencing] = useState(false);
  const [relearning, setRelearning] = useState(false);
  const ids = [anomaly.incident_id];
  const act = (kind: ActionKind) => {
    if (!mayAct || busy) return;
    setBusy(true);
    void decide({ kind, incident_ids: ids }).finally(() => setBusy(false));
  };
  useKeys({
    a: () => act("acknowledge"),
    r: () => act("resolve"),
    s: () => mayAct && setSilencing(true),
  });
  if (!mayAct) return <p class="quiet not-allowed">You may read here. Acknowledging and silencing needs the role operator.</p>;
  const done = incident?.acknowledged_at != null;
  const ended = incident?.resolved_at != null;
  return (
    <>
      <div class="decisions" role="toolbar" aria-label="Decide">
        <button type="button" class={done ? "button" : "button primary"} disabled={busy || done} onClick={() => act("acknowledge")}>
          <Icon name="check" />
          {done ? "Acknowledged" : "Acknowledge"}
          {!done && <kbd aria-hidden="true">a</kbd>}
        </button>
        <button type="button" class="button" disabled={busy || ended} onClick={() => act("resolve")}>
          <Icon name="flag" />
          {ended ? "Resolved" : "Resolve"}
          {!ended && <kbd aria-hidden="true">r</kbd>}
        </button>
        <button type="button" class="button" disabled={busy} onClick={() => setSilencing(true)}>
          <Icon name="silence" />
          Silence for…
          <kbd aria-hidden="true">s</kbd>
        </button>
        <span class="decisions-gap" />
        <button type="button" class="button" disabled={busy || incident?.verdict === "expected"} onClick={() => act("expected")}>
          Expected
        </button>
        <button type="button" class="button" disabled={busy || incident?.verdict === "not_an_anomaly"} onClick={() => act("not_an_anomaly")}>
          Not an anomaly
        </button>
        <button type="button" class="button" onClick={() => setRelearning(true)}>
          <Icon name="refresh" />
          Relearn
        </button>
      </div>
      {incident?.acknowledged_at != null && (
        <p class="quiet">
          Acknowledged{incident.acknowledged_by == null ? "" : ` by ${incident.acknowledged_by}`} on {exact(incident.acknowledged_at)}.
        </p>
      )}
      {silencing && <SilenceDialog incidents={ids} onClose={() => setSilencing(false)} />}
      {relearning && <RelearnDialog entity={`${anomaly.entity_kind}:${anomaly.entity_id}`} onClose={() => setRelearning(false)} />}
    </>
  );
}

/** Asks first: what was learned cannot be had back. */
export function RelearnDialog({ entity, onClose }: { entity: string; onClose: () => void }) {
  const relearn = () => void decide({ kind: "relearn", entity }).then((done) => done && onClose());
  return (
    <Dialog title="Learn anew?" onClose={onClose}>
      <p>
        What is usual for <code>{entity}</code> is forgotten and learned again from the next event on. Until then nothing is reported about
        it. Its history stays.
      </p>
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={onClose}>
          Keep
        </button>
        <button type="button" class="button primary" onClick={relearn}>
          Learn anew
        </button>
      </div>
    </Dialog>
  );
}

export function CommentBox({ incident }: { incident: string }) {
  const [text, setText] = useState("");
  if (!useMayAct()) return null;
  return (
    <form
      class="comment"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "") return;
        void decide({ kind: "comment", incident_ids: [incident], comment: text.trim() }).then((done) => done && setText(""));
      }}
    >
      <input value={text} aria-label="Comment" placeholder="Say what you found" maxLength={1000} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="button">
        Comment
      </button>
    </form>
  );
}
