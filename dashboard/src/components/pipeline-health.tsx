import type { Overview } from "../api";
import { VisuallyHidden } from "./badges";
import { RelativeTime } from "./relative-time";

const MARKS = { ok: "good", away: "bad", behind: "bad", unset: "open", unknown: "open" } as const;
/** More records than this is not just the distance between two checkpoints. */
const LAGGING = 1_000;

/** Pipeline health: each component, its consumer lag, and when the last event was read and stored. */
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
            <span class="quiet" title="Consumer lag: records on Kafka not processed yet">
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
          "no events yet"
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
  return records === undefined ? "unknown" : records >= LAGGING ? "behind" : "ok";
}
