import type { Overview } from "../api";
import { VisuallyHidden } from "./badges";
import { RelativeTime } from "./relative-time";

const MARKS = { ok: "good", away: "bad", behind: "bad", unset: "open", unknown: "open" } as const;
/** More records than these are not the ordinary distance between two checkpoints. */
const FAR_BEHIND = 1_000;

/** The pipeline's own health: each part, how far it is behind, and when something was last seen and stored. */
export function PipelineHealth({ pipeline }: { pipeline: Overview["pipeline"] }) {
  const { broker, detector, database, behind } = pipeline;
  const parts = [
    { name: "Kafka", state: broker, behind: 0 },
    { name: "Detector", state: detector, behind: behind?.detector ?? 0 },
    { name: "Recorder", state: stateOf(behind?.recorder), behind: behind?.recorder ?? 0 },
    { name: "Notifier", state: stateOf(behind?.notifier), behind: behind?.notifier ?? 0 },
    { name: "Database", state: database, behind: 0 },
  ] as const;
  return (
    <ul class="pipeline" aria-label="Pipeline">
      {parts.map(({ name, state, behind: records }) => (
        <li key={name} class={`status ${MARKS[state]}`}>
          {name}
          {records > 0 ? (
            <span class="quiet" title="Records on Kafka that it has not worked off">
              {records.toLocaleString("en-GB")} behind
            </span>
          ) : state === "ok" || state === "unknown" ? (
            <VisuallyHidden> {state}</VisuallyHidden>
          ) : (
            <span> {state}</span>
          )}
        </li>
      ))}
      <li class="quiet">
        {pipeline.newest_event_at == null ? (
          "no event yet"
        ) : (
          <>
            last event <RelativeTime at={pipeline.newest_event_at} />
          </>
        )}
        {pipeline.recorded_at != null && (
          <>
            , stored <RelativeTime at={pipeline.recorded_at} />
          </>
        )}
      </li>
    </ul>
  );
}

function stateOf(records: number | undefined): "ok" | "behind" | "unknown" {
  return records === undefined ? "unknown" : records >= FAR_BEHIND ? "behind" : "ok";
}
