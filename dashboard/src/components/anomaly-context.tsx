import type { Anomaly } from "../api";
import { pageOf, runPath } from "../paths";
import { plainText } from "../plain-text";
import { isMissedRun } from "../timing";
import { kindName } from "../vocabulary";
import { Fact } from "./fact";
import { Link, MaybeLink, OutsideLink } from "./link";

/** Where it belongs, and what came with it. */
export function AnomalyContext({ anomaly }: { anomaly: Anomaly }) {
  return (
    <dl class="facts">
      <Fact name={kindName(anomaly.entity_kind)}>
        <MaybeLink href={pageOf(anomaly.entity_kind, anomaly.entity_id)}>{anomaly.entity_id}</MaybeLink>
      </Fact>
      {anomaly.variant != null && (
        <Fact name="Variant">
          <MaybeLink href={pageOf(anomaly.entity_kind, anomaly.entity_id, anomaly.variant)}>{plainText(anomaly.variant)}</MaybeLink>
        </Fact>
      )}
      {anomaly.execution_id != null && (
        <Fact name={isMissedRun(anomaly) ? "Last execution" : "Execution"}>
          <code>{anomaly.execution_id}</code>
          {anomaly.attempt != null && <span> attempt {anomaly.attempt}</span>}
        </Fact>
      )}
      {anomaly.run_id != null && (
        <Fact name="Score run">
          <Link href={runPath(anomaly.run_id)}>{anomaly.run_id}</Link>
        </Fact>
      )}
      {Object.entries(anomaly.labels ?? {}).map(([name, value]) => (
        <Fact key={name} name={name} own>
          {value}
          {name === "demo" && value === "injected" && <span class="quiet"> (added to the real history of the demo)</span>}
        </Fact>
      ))}
      {anomaly.url != null && (
        <Fact name="Link">
          <OutsideLink href={anomaly.url} />
        </Fact>
      )}
      <Fact name="Type">
        <code>{anomaly.anomaly_type}</code>
      </Fact>
      <Fact name="Detector">
        {anomaly.detector}, profile {anomaly.profile}
      </Fact>
      <Fact name="Incident">
        <code>{anomaly.incident_id}</code>
      </Fact>
      <Fact name="Anomaly">
        <code>{anomaly.id}</code>
      </Fact>
    </dl>
  );
}
