import { useEffect, useState } from "preact/hooks";
import { onToasts, dismissToast, type Toast } from "../toast";
import { Icon } from "./badges";

/** What was just done, at the foot of the page, read out by a screen reader. */
export function Toasts() {
  const [toasts, setToasts] = useState<Toast[]>([]);
  useEffect(() => onToasts(setToasts), []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, text, bad }) => (
        <p key={id} class={bad ? "bad" : ""}>
          <Icon name={bad ? "close" : "check"} />
          <span>{text}</span>
          <button type="button" aria-label="Dismiss" onClick={() => dismissToast(id)}>
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  );
}
