import type { Anomaly } from "../api";
import { usePreviousRuns } from "../previous-runs";
import { notableSteps, type StepChange } from "../step-changes";
import { duration } from "../time";
import { share } from "../format";
import { Section } from "./page-frame";

const SHOWN = 6;
const WIDTH = 100;

/** Steps that failed or took longer than in previous runs; nothing if the execution has no timed steps. */
export function Steps({ anomaly }: { anomaly: Anomaly }) {
  const before = usePreviousRuns(anomaly);
  const run = before?.run;
  if (before === null || run?.steps === undefined || run.steps.length === 0) return null;
  const notable = notableSteps(run, before.others);
  const shown = notable.slice(0, SHOWN);
  const most = Math.max(...shown.map(({ now_s, usual_s }) => Math.max(now_s, usual_s ?? 0)), Number.MIN_VALUE);
  return (
    <Section title="Slower or failed steps" wide aside={<span class="quiet">compared with the median of {before.others.length} previous runs</span>}>
      {shown.length === 0 ? (
        <p class="quiet">None: each of its {run.steps.length} steps took about its usual time.</p>
      ) : (
        <ol class="step-bars">
          {shown.map((step, index) => (
            <Step key={`${index} ${step.name}`} step={step} most={most} />
          ))}
        </ol>
      )}
      {notable.length > SHOWN && <p class="quiet">and {notable.length - SHOWN} more</p>}
    </Section>
  );
}

function Step({ step, most }: { step: StepChange; most: number }) {
  const { name, now_s: now, usual_s: usual, share: part, usual_share: usualPart, more_s: more, failed } = step;
  return (
    <li>
      <span class="step-name">
        <span class="cut" title={name}>
          {name}
        </span>
        {failed && <span class="status bad">failed</span>}
      </span>
      <svg viewBox={`0 0 ${WIDTH} 12`} preserveAspectRatio="none" aria-hidden="true">
        <rect class={more > 0 ? "step-now more" : "step-now"} y="1" height="10" width={(now / most) * WIDTH} />
        {usual !== null && <rect class="step-usual" y="0" height="12" x={Math.max(0, (usual / most) * WIDTH - 0.5)} width="0.7" />}
      </svg>
      <span class="step-words">
        <span>
          <strong>{duration(now)}</strong> <span class="quiet">{share(part)} of the steps</span>
        </span>
        <span class="quiet">
          {usual === null ? "new step" : `usually ${duration(usual)}${usualPart === null ? "" : `, ${share(usualPart)}`}`}
        </span>
      </span>
    </li>
  );
}
