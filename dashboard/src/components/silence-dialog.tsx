import { useState } from "preact/hooks";
import { submitAction } from "../actions";
import { Dialog } from "./dialog";

const SPANS = [
  ["1 hour", 3_600],
  ["4 hours", 14_400],
  ["1 day", 86_400],
  ["1 week", 604_800],
] as const;

/** Asks for the duration. A silenced incident is still detected and listed; no notifications are sent. */
export function SilenceDialog({ incidents, onClose }: { incidents: string[]; onClose: (done: boolean) => void }) {
  const [comment, setComment] = useState("");
  const [span, setSpan] = useState<number>(14_400);
  const [busy, setBusy] = useState(false);
  const silence = async () => {
    setBusy(true);
    const done = await submitAction({ kind: "silence", incident_ids: incidents, for_s: span, ...(comment.trim() === "" ? {} : { comment: comment.trim() }) });
    setBusy(false);
    if (done) onClose(true);
  };
  return (
    <Dialog title={incidents.length === 1 ? "Silence this incident" : `Silence ${incidents.length} incidents`} onClose={() => onClose(false)}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void silence();
        }}
      >
        <p class="quiet">Still detected and listed here, but no notifications are sent.</p>
        <fieldset class="segments">
          <legend class="visually-hidden">Duration</legend>
          {SPANS.map(([name, seconds]) => (
            <button key={name} type="button" aria-pressed={span === seconds} onClick={() => setSpan(seconds)}>
              {name}
            </button>
          ))}
        </fieldset>
        <label>
          Reason (visible to others)
          <input value={comment} maxLength={500} placeholder="Optional" onInput={(event) => setComment(event.currentTarget.value)} />
        </label>
        <button type="submit" class="button primary" disabled={busy}>
          Silence
        </button>
      </form>
    </Dialog>
  );
}
