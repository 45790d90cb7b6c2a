import type { IncidentDetail } from "../api";
import { timeline } from "../timeline";
import { exact } from "../time";
import { Icon } from "./badges";
import { RelativeTime } from "./relative-time";

const ICONS = { found: "anomalies", decided: "check", sent: "bell", held: "silence" } as const;
const FIRST_SHOWN = 40;

/** Newest first, as people read it. */
export function Timeline({ incident }: { incident: IncidentDetail }) {
  const all = timeline(incident).reverse();
  return (
    <ol class="timeline">
      {all.slice(0, FIRST_SHOWN).map(({ key, at, kind, title, detail }) => (
        <li key={key} class={kind}>
          <span class="timeline-mark">
            <Icon name={ICONS[kind]} />
          </span>
          <div>
            <p>
              <strong>{title}</strong>{" "}
              <span class="quiet" title={exact(at)}>
                <RelativeTime at={at} />
              </span>
            </p>
            {detail !== "" && <p class="timeline-detail">{detail}</p>}
          </div>
        </li>
      ))}
      {all.length > FIRST_SHOWN && <li class="quiet">and {all.length - FIRST_SHOWN} earlier</li>}
    </ol>
  );
}
