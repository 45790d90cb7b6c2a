import { useMemo } from "preact/hooks";
import { EXECUTIONS, type Anomaly, type ExecutionList } from "../api";
import { useAnswer } from "../load";
import { stepChanges } from "../steps-grown";
import { duration } from "../times";
import { Section } from "./frame";

const SHOWN = 6;
const WIDTH = 100;

/** The steps that grew against the runs before; nothing where the execution has no timed steps. */
export function Steps({ anomaly }: { anomaly: Anomaly }) {
  const query = useMemo(() => {
    // `to` is exclusive, and the anomalous execution is to be the first of the answer.
    const to = new Date(Date.parse(anomaly.detected_at) + 1).toISOString();
    return new URLSearchParams({ workflow: anomaly.entity_id, to, limit: "31" });
  }, [anomaly.entity_id, anomaly.detected_at]);
  const { value } = useAnswer<ExecutionList>(anomaly.execution_id == null ? null : EXECUTIONS, query, 300_000);
  const run = value?.items.find(({ execution_id: id }) => id === anomaly.execution_id);
  if (run === undefined || value === null) return null;
  const changes = stepChanges(run, value.items.filter((other) => other !== run)).slice(0, SHOWN);
  if (changes.length === 0) return null;
  const most = Math.max(...changes.map(({ now_s, usual_s }) => Math.max(now_s, usual_s ?? 0)), Number.MIN_VALUE);
  return (
    <Section title="Steps that grew" wide>
      <ol class="step-bars">
        {changes.map(({ name, now_s, usual_s, more_s, failed }, index) => (
          <li key={`${index} ${name}`}>
            <span class="step-name" title={name}>
              {name}
              {failed && <span class="status bad">failed</span>}
            </span>
            <svg viewBox={`0 0 ${WIDTH} 12`} preserveAspectRatio="none" aria-hidden="true">
              <rect class={more_s > 0 ? "step-now more" : "step-now"} y="1" height="10" width={(now_s / most) * WIDTH} />
              {usual_s !== null && <rect class="step-usual" y="0" height="12" x={Math.max(0, (usual_s / most) * WIDTH - 0.5)} width="0.7" />}
            </svg>
            <span class="step-words">
              <strong>{duration(now_s)}</strong>{" "}
              <span class="quiet">{usual_s === null ? "not seen before" : `usually ${duration(usual_s)}`}</span>
            </span>
          </li>
        ))}
      </ol>
    </Section>
  );
}
