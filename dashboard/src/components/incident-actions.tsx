/** The actions of one incident with their hotkeys, and the comment box. */

import { useState } from "preact/hooks";
import { submitAction } from "../actions";
import type { ActionKind, Anomaly, IncidentStatus } from "../api";
import { useHotkeys } from "../hotkeys";
import { useCanAct } from "../permissions";
import { keyOf } from "../state-keys";
import { exact } from "../time";
import { Dialog } from "./dialog";
import { Icon } from "./badges";
import { SilenceDialog } from "./silence-dialog";

export function IncidentActions({ anomaly, status }: { anomaly: Anomaly; status: IncidentStatus }) {
  const canAct = useCanAct();
  const [busy, setBusy] = useState(false);
  const [silencing, setSilencing] = useState(false);
  const [relearning, setRelearning] = useState(false);
  const ids = [anomaly.incident_id];
  const act = (kind: ActionKind) => {
    if (!canAct || busy) return;
    setBusy(true);
    void submitAction({ kind, incident_ids: ids }).finally(() => setBusy(false));
  };
  const { acknowledged_at: acknowledged, acknowledged_by: by, verdict } = status;
  const done = acknowledged !== null;
  const ended = status.state === "resolved";
  useHotkeys({
    a: () => !done && act("acknowledge"),
    r: () => !ended && act("resolve"),
    s: () => canAct && setSilencing(true),
  });
  if (!canAct) return <p class="quiet not-allowed">Read-only: acknowledging and silencing require the operator role.</p>;
  return (
    <>
      <div class="decisions" role="toolbar" aria-label="Actions">
        <button type="button" class={done || ended ? "button" : "button primary"} disabled={busy || done} onClick={() => act("acknowledge")}>
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
        <button type="button" class="button" disabled={busy || verdict === "expected"} onClick={() => act("expected")}>
          Expected
        </button>
        <button type="button" class="button" disabled={busy || verdict === "not_an_anomaly"} onClick={() => act("not_an_anomaly")}>
          Not an anomaly
        </button>
        <button type="button" class="button" onClick={() => setRelearning(true)}>
          <Icon name="refresh" />
          Reset baseline
        </button>
      </div>
      {acknowledged !== null && (
        <p class="quiet">
          Acknowledged{by === null ? "" : ` by ${by}`} on {exact(acknowledged)}.
        </p>
      )}
      {silencing && <SilenceDialog incidents={ids} onClose={() => setSilencing(false)} />}
      {relearning && <RelearnDialog entity={keyOf(anomaly)} onClose={() => setRelearning(false)} />}
    </>
  );
}

/** Asks for confirmation: a reset cannot be undone. `variants`: how many the entity has, if it is a whole workflow. */
export function RelearnDialog({ entity, variants = 0, onClose }: { entity: string; variants?: number; onClose: () => void }) {
  const relearn = () => void submitAction({ kind: "relearn", entity }).then((done) => done && onClose());
  return (
    <Dialog title="Reset this baseline?" onClose={onClose}>
      <p>
        The baseline of <code>{entity}</code> is deleted and learned again, starting with the next event
        {variants > 1 && `, and so are those of all its ${variants} variants`}. Until it is ready, no anomalies are detected for it. The
        stored history is kept.
      </p>
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="button primary" onClick={relearn}>
          Reset baseline
        </button>
      </div>
    </Dialog>
  );
}

export function CommentBox({ incident }: { incident: string }) {
  const [text, setText] = useState("");
  if (!useCanAct()) return null;
  return (
    <form
      class="comment"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "") return;
        void submitAction({ kind: "comment", incident_ids: [incident], comment: text.trim() }).then((done) => done && setText(""));
      }}
    >
      <input value={text} aria-label="Comment" placeholder="Add a comment" maxLength={1000} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="button">
        Comment
      </button>
    </form>
  );
}
