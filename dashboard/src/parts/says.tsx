import { useEffect, useState } from "preact/hooks";
import { onSaid, unsay, type Said } from "../says";
import { Icon } from "./marks";

/** What was just done, at the foot of the page, read out by a screen reader. */
export function Says() {
  const [said, setSaid] = useState<Said[]>([]);
  useEffect(() => onSaid(setSaid), []);
  return (
    <div class="says" role="status" aria-live="polite">
      {said.map(({ id, text, bad }) => (
        <p key={id} class={bad ? "bad" : ""}>
          <Icon name={bad ? "close" : "check"} />
          <span>{text}</span>
          <button type="button" aria-label="Dismiss" onClick={() => unsay(id)}>
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  );
}
