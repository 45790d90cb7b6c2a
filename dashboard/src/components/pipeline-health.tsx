import { useEffect, useRef } from "preact/hooks";
import { HEALTH, type Health } from "../api";
import { useQuery } from "../query";
import { VisuallyHidden } from "./badges";
import { RelativeTime } from "./relative-time";

/** A part that does not answer is known within 10 s; the page shows it 3 s later at the latest. */
const POLL_MS = 3_000;
const NO_QUERY = new URLSearchParams();
const MARKS = { ok: "good", away: "bad", behind: "bad", failing: "bad", unset: "open", unknown: "open" } as const;
const NAMES: Record<string, string> = { kafka: "Kafka", postgresql: "Database" };

/** Pipeline health: each component, its consumer lag, and when the last event was read and stored. */
export function PipelineHealth() {
  const pipeline = useQuery<Health>(HEALTH, NO_QUERY, POLL_MS).value;
  return pipeline === null ? null : <Parts pipeline={pipeline} />;
}

/**
 * What is not well, on every page: the data shown may be stale. It lies at the bottom of the window, over the page, so
 * that nothing moves when a part fails or recovers. `--health-height` keeps the end of the page and the other things at
 * the bottom of the window clear of it.
 */
export function HealthBanner() {
  const { value, error } = useQuery<Health>(HEALTH, NO_QUERY, POLL_MS);
  const shown = useRef<HTMLDivElement>(null);
  const reasons = error === null ? (value?.reasons ?? []) : [];
  useEffect(() => {
    const { style } = document.documentElement;
    const observer = new ResizeObserver(() => style.setProperty("--health-height", `${shown.current?.offsetHeight ?? 0}px`));
    if (shown.current !== null) observer.observe(shown.current);
    return () => {
      observer.disconnect();
      style.removeProperty("--health-height");
    };
  }, []);
  // Always there: screen readers announce what changes in a status, not a status that appears.
  return (
    <div class="health" role="status" ref={shown}>
      {reasons.length > 0 && (
        <ul class="banner" tabIndex={0} aria-label="Health warnings">
          {reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Parts({ pipeline }: { pipeline: Health }) {
  const { behind, broker } = pipeline;
  const unset = broker === "unset" ? [{ name: "kafka", state: "unset" as const, reason: "" }] : [];
  return (
    <ul class="pipeline" aria-label="Pipeline">
      {[...unset, ...(pipeline.parts ?? [])].map(({ name, state, reason }) => (
        <li key={name} class={`status ${MARKS[state]}`} title={reason}>
          {NAMES[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replace("_", " ")}
          {state === "ok" || state === "unknown" ? <VisuallyHidden> {state}</VisuallyHidden> : <span> {state}</span>}
          <Lag records={behind?.[name as keyof typeof behind] ?? 0} />
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

function Lag({ records }: { records: number }) {
  if (records === 0) return null;
  return (
    <span class="quiet" title="Consumer lag: records on Kafka not processed yet">
      {" "}
      {records.toLocaleString("en-GB")} behind
    </span>
  );
}
