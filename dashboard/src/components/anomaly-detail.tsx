/** One anomaly: description, metrics, history, investigation steps, timeline. */

import { useMemo } from "preact/hooks";
import { entityPath, pageOf, runPath } from "../paths";
import { withId, type Affected, type Anomaly, type IncidentDetail } from "../api";
import { useQuery } from "../query";
import { usePreviousRuns } from "../previous-runs";
import { incidentStatusOf, useOptimisticUpdates } from "../optimistic-updates";
import { keyOf, nameOf } from "../state-keys";
import { exact } from "../time";
import { shortDescription } from "../format";
import { AnomalyContext } from "./anomaly-context";
import { CommentBox, IncidentActions } from "./incident-actions";
import { Fact } from "./fact";
import { Section } from "./page-frame";
import { SeriesChart } from "./series-chart";
import { isOutside, Link, Linkified, MaybeLink, OutsideLink } from "./link";
import { IncidentChip } from "./anomaly-table";
import { Icon, SeverityBadge, StateChip } from "./badges";
import { AnomalyMetrics } from "./anomaly-metrics";
import { RunBars } from "./run-bars";
import { RelatedAnomalies } from "./related-anomalies";
import { Steps } from "./step-changes";
import { Timeline } from "./timeline";
import { RelativeTime } from "./relative-time";
import { Explanation } from "./explanation";
import { isMissedRun } from "../timing";
import { kindName, typeInfo, typeName } from "../vocabulary";

const NO_QUERY = new URLSearchParams();

export function AnomalyDetail({ anomaly }: { anomaly: Anomaly }) {
  useOptimisticUpdates();
  const { value: incident } = useQuery<IncidentDetail>(withId("/api/v1/incidents/{id}", anomaly.incident_id), NO_QUERY, 15_000);
  const status = incidentStatusOf({ ...anomaly, incident });
  const known = useKnown(anomaly);
  return (
    <article>
      <header class="detail-head">
        <div class="detail-marks">
          <SeverityBadge severity={anomaly.severity} />
          <span class="detail-type" title={typeInfo(anomaly.anomaly_type).description}>
            {typeName(anomaly.anomaly_type)}
          </span>
          <StateChip state={anomaly.state} reason={anomaly.end_reason} />
          <IncidentChip status={status} record={anomaly.state} />
          <span class="quiet">
            <RelativeTime at={anomaly.detected_at} /> · {exact(anomaly.detected_at)}
          </span>
        </div>
        <h1 tabIndex={-1}>
          <MaybeLink href={pageOf(anomaly.entity_kind, anomaly.entity_id, anomaly.variant)}>{nameOf(anomaly)}</MaybeLink>
        </h1>
        <p class="lead">{shortDescription(anomaly)}</p>
      </header>
      <IncidentActions anomaly={anomaly} status={status} />
      <AnomalyMetrics anomaly={anomaly} />
      <Charts anomaly={anomaly} />
      {anomaly.entity_kind === "workflow" && <Steps anomaly={anomaly} />}
      <div class="columns">
        <div class="column">
          <Section title="Investigation steps" aside={anomaly.url != null && isOutside(anomaly.url) && <OpenRun href={anomaly.url} />}>
            {anomaly.run_evidence != null && <RunEvidence text={anomaly.run_evidence} run={anomaly.run_id} />}
            <ol class="steps">
              {anomaly.investigation_steps.map((step, index) => (
                <li key={index}>
                  <Linkified text={step} known={known} />
                </li>
              ))}
            </ol>
          </Section>
          <Excerpt anomaly={anomaly} />
          <Section title="Why it was reported">
            <ul class="gates">
              {anomaly.gates.map((gate, index) => (
                <li key={index}>
                  <Icon name="check" />
                  <span>{gate}</span>
                </li>
              ))}
            </ul>
          </Section>
          <Explanation anomaly={anomaly.id} />
          <Section title="Affected entities">
            <dl class="facts">
              {anomaly.affected_entities.map(({ kind, id, name }, index) => (
                <Fact key={index} name={kindName(kind)}>
                  {name != null && name !== id && <span>{name} </span>}
                  <Known id={id} href={kindPath(kind, id) ?? known.get(id)} />
                </Fact>
              ))}
            </dl>
          </Section>
          <Section title="Details">
            <AnomalyContext anomaly={anomaly} />
          </Section>
        </div>
        <div class="column">
          <Section title="Timeline">
            {incident === null ? <div class="skeleton" /> : <Timeline incident={incident} />}
            <CommentBox incident={anomaly.incident_id} />
          </Section>
          <RelatedAnomalies anomaly={anomaly} />
        </div>
      </div>
    </article>
  );
}

/** The series that the rule evaluated comes first; for failures also the outcomes of the previous runs. */
function Charts({ anomaly }: { anomaly: Anomaly }) {
  const entity = keyOf(anomaly);
  const { isFailure } = typeInfo(anomaly.anomaly_type);
  const missed = isMissedRun(anomaly);
  const before = usePreviousRuns(anomaly);
  if (anomaly.entity_kind === "score") {
    return (
      <Section title="Score over time" wide>
        <SeriesChart entity={entity} until={anomaly.detected_at} anomaly={anomaly} />
      </Section>
    );
  }
  if (anomaly.entity_kind !== "workflow") return null;
  return (
    <>
      {isFailure && (
        <Section title="Failure rate of the last 10 runs" wide>
          {before !== null && <RunBars runs={before.run === undefined ? before.others : [before.run, ...before.others]} />}
          <SeriesChart entity={entity} of="failures" until={anomaly.detected_at} anomaly={anomaly} />
        </Section>
      )}
      <Section title={missed ? "Execution time of the runs that came" : "Execution time"} wide>
        <SeriesChart entity={entity} until={anomaly.detected_at} {...(missed ? {} : { anomaly })} />
      </Section>
    </>
  );
}

/** The last lines that the execution printed: all that is stored of them, or the few that came with the anomaly. */
function Excerpt({ anomaly }: { anomaly: Anomaly }) {
  const before = usePreviousRuns(anomaly);
  const text = before?.run?.excerpt ?? anomaly.excerpt;
  if (text == null) return null;
  return (
    <Section title="Last lines of the output">
      <pre class="payload" tabIndex={0}>
        {text}
      </pre>
    </Section>
  );
}

function kindPath(kind: Affected["kind"], id: string): string | undefined {
  if (kind === "workflow") return entityPath("workflow", id);
  return kind === "entity" ? entityPath("score", id) : undefined;
}

function Known({ id, href }: { id: string; href: string | undefined }) {
  if (href === undefined) return <code>{id}</code>;
  return (
    <code>{href.startsWith("/") ? <Link href={href}>{id}</Link> : <OutsideLink href={href}>{id}</OutsideLink>}</code>
  );
}

/** How many entities of its score run moved the same way. */
function RunEvidence({ text, run }: { text: string; run: string | null | undefined }) {
  return (
    <p class="run-evidence">
      <MaybeLink href={run == null ? undefined : runPath(run)}>Score run</MaybeLink>: {text}
    </p>
  );
}

function OpenRun({ href }: { href: string }) {
  return (
    <a class="button small" href={href} target="_blank" rel="noopener noreferrer">
      <Icon name="out" />
      Open execution
    </a>
  );
}

/** Links for the executions and the score run that texts mention. */
function useKnown(anomaly: Anomaly): ReadonlyMap<string, string> {
  const before = usePreviousRuns(anomaly);
  return useMemo(() => {
    const known = new Map<string, string>();
    for (const { execution_id: id, url } of [...(before?.others ?? []), ...(before?.run === undefined ? [] : [before.run])]) {
      if (url != null && isOutside(url)) known.set(id, url);
    }
    if (anomaly.run_id != null) known.set(anomaly.run_id, runPath(anomaly.run_id));
    return known;
  }, [before, anomaly.run_id]);
}
