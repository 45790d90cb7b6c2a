import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { ANOMALIES, withId, type Anomaly, type AnomalyPage as Found, type IncidentDetail } from "../api";
import { useAnswer } from "../load";
import { Figure, Section } from "../parts/frame";
import { History } from "../parts/history";
import { CommentBox, Decisions } from "../parts/decisions";
import { anomalyAddress, Link, OutsideLink, WithLinks } from "../parts/link";
import { DecisionChip } from "../parts/list";
import { Steps } from "../parts/steps";
import { Timeline } from "../parts/timeline";
import { Icon, SeverityBadge, SeverityShape, StateChip } from "../parts/marks";
import { Failed, Notice, Stale } from "../parts/notices";
import { Why } from "../parts/why";
import { When } from "../parts/when";
import { lastList } from "../route";
import { duration, exact } from "../times";
import { compare, KIND_NAMES, percent, threshold, typeName, zScore } from "../words";
import { runAddress } from "./runs";
import { watchedAddress } from "./watched";

const POLL_MS = 30_000;
const RETRY_MS = 2_000;
const PATIENCE_MS = 60_000;
const NO_QUERY = new URLSearchParams();

export function AnomalyPage({ id }: { id: string }) {
  const [waiting, setWaiting] = useState(true);
  const { value, error, at, reload } = useAnswer<Anomaly>(
    withId("/api/v1/ai/anomalies/{id}", id),
    NO_QUERY,
    waiting ? RETRY_MS : POLL_MS,
  );
  useEffect(() => {
    if (value !== null) {
      setWaiting(false);
      return undefined;
    }
    const timer = setTimeout(() => setWaiting(false), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [value === null, id]);
  useEffect(() => {
    document.title = value === null ? "Anomaly · stream-detector" : `${typeName(value.anomaly_type)}: ${value.entity_name}`;
  }, [value]);

  return (
    <main id="main" class="page detail">
      <Link class="way-back" href={lastList()}>
        <Icon name="back" />
        Anomalies
      </Link>
      {value !== null && error !== null && <Stale error={error} at={at} reload={reload} />}
      {value !== null ? (
        <Detail anomaly={value} />
      ) : error === null ? (
        <Bones />
      ) : error.kind === "missing" ? (
        <Missing waiting={waiting} reload={reload} />
      ) : (
        <Failed alone error={error} reload={reload} />
      )}
    </main>
  );
}

function Detail({ anomaly }: { anomaly: Anomaly }) {
  const { value: incident } = useAnswer<IncidentDetail>(withId("/api/v1/incidents/{id}", anomaly.incident_id), NO_QUERY, 15_000);
  return (
    <article>
      <header class="detail-head">
        <div class="detail-marks">
          <SeverityBadge severity={anomaly.severity} />
          <StateChip state={anomaly.state} />
          <DecisionChip incident={incident ?? undefined} />
          <span class="quiet">
            <When at={anomaly.detected_at} /> · {exact(anomaly.detected_at)}
          </span>
        </div>
        <h1 tabIndex={-1}>
          {typeName(anomaly.anomaly_type)} <span class="of">{anomaly.entity_name || anomaly.entity_id}</span>
        </h1>
        <p class="lead">{anomaly.description}</p>
      </header>
      <Decisions anomaly={anomaly} incident={incident} />
      <Numbers anomaly={anomaly} />
      <Section title={anomaly.entity_kind === "score" ? "Score over time" : "Execution time"} wide>
        <History entity={`${anomaly.entity_kind}:${anomaly.entity_id}`} until={anomaly.detected_at} anomaly={anomaly} />
      </Section>
      {anomaly.entity_kind === "workflow" && <Steps anomaly={anomaly} />}
      <div class="columns">
        <div class="column">
          <Section title="What to look at">
            <ol class="steps">
              {anomaly.investigation_steps.map((step, index) => (
                <li key={index}>
                  <WithLinks text={step} />
                </li>
              ))}
            </ol>
          </Section>
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
          <Why anomaly={anomaly.id} />
          <Section title="Affected">
            <dl class="facts">
              {anomaly.affected_entities.map(({ kind, id, name }, index) => (
                <Fact key={index} name={KIND_NAMES[kind]}>
                  {name != null && name !== id && <span>{name} </span>}
                  <code>{id}</code>
                </Fact>
              ))}
            </dl>
          </Section>
        </div>
        <div class="column">
          <Section title="What happened">
            {incident === null ? <div class="bone" /> : <Timeline incident={incident} />}
            <CommentBox incident={anomaly.incident_id} />
          </Section>
          <Related anomaly={anomaly} />
          <Section title="Context">
            <Context anomaly={anomaly} />
          </Section>
        </div>
      </div>
    </article>
  );
}

const SHOWN_RELATED = 6;

/** Others of the same entity around it, or of the same score run. */
function Related({ anomaly }: { anomaly: Anomaly }) {
  const query = useMemo(() => {
    const asked = new URLSearchParams({ limit: String(SHOWN_RELATED + 1) });
    if (anomaly.run_id != null) asked.set("run", anomaly.run_id);
    else asked.set("entity", anomaly.entity_id);
    return asked;
  }, [anomaly.run_id, anomaly.entity_id]);
  const { value } = useAnswer<Found>(ANOMALIES, query, POLL_MS);
  const others = value?.items.filter(({ id }) => id !== anomaly.id).slice(0, SHOWN_RELATED) ?? [];
  if (others.length === 0) return null;
  return (
    <Section title={anomaly.run_id != null ? "Others of this run" : "Others of this workflow"}>
      <ol class="related">
        {others.map((other) => (
          <li key={other.id}>
            <Link class="message" href={anomalyAddress(other.id)}>
              <SeverityShape severity={other.severity} />
              <span class="message-title">
                {typeName(other.anomaly_type)} <span class="quiet">{other.entity_name}</span>
              </span>
              <span class="message-when">
                <When at={other.detected_at} />
              </span>
            </Link>
          </li>
        ))}
      </ol>
    </Section>
  );
}

/** All metrics, with their units in words. */
function Numbers({ anomaly }: { anomaly: Anomaly }) {
  const words = compare(anomaly);
  const { z_score: z, confidence, baseline_value: baseline, current_value: current, unit } = anomaly.metrics;
  const limit = threshold(anomaly.metrics);
  const times = unit === "s" && baseline > 0 && current > 0 ? `${(current / baseline).toPrecision(2)} times the usual` : "";
  return (
    <dl class="numbers">
      <Figure name="Current" value={words.now} note={words.nowLabel} strong />
      <Figure name="Baseline" value={words.usual} note={words.usualLabel} />
      <Figure name="Deviation" value={words.change} note={times || (unit === "ratio" ? "percentage points" : "current − baseline")} />
      <Figure
        name="z-score"
        value={zScore(z)}
        note={z === null ? "this rule needs none" : "standard deviations"}
      />
      <Figure name="Confidence" value={percent(confidence)} note="of the reading and its history" />
      {limit !== null && <Figure name="Threshold" value={limit} note="set for this rule" />}
      {anomaly.duration_s != null && <Figure name="Lasted" value={duration(anomaly.duration_s)} note="from opening to end" />}
    </dl>
  );
}

function Context({ anomaly }: { anomaly: Anomaly }) {
  return (
    <dl class="facts">
      <Fact name={anomaly.entity_kind === "score" ? "Entity" : "Workflow"}>
        <Link href={watchedAddress(anomaly.entity_kind, anomaly.entity_id)}>{anomaly.entity_id}</Link>
      </Fact>
      {anomaly.execution_id != null && (
        <Fact name="Execution">
          <code>{anomaly.execution_id}</code>
          {anomaly.attempt != null && <span> attempt {anomaly.attempt}</span>}
        </Fact>
      )}
      {anomaly.run_id != null && (
        <Fact name="Score run">
          <Link href={runAddress(anomaly.run_id)}>{anomaly.run_id}</Link>
        </Fact>
      )}
      {Object.entries(anomaly.labels ?? {}).map(([name, value]) => (
        <Fact key={name} name={name} own>
          {value}
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

/** `own`: the name is the user's own (a label), so it is shown as it is. */
function Fact({ name, own = false, children }: { name: string; own?: boolean; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt class={own ? "own" : ""}>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A link may be faster than the row it points to: messages leave before the recorder has written. */
function Missing({ waiting, reload }: { waiting: boolean; reload: () => void }) {
  return waiting ? (
    <Notice alone title="Not here yet">
      <p>This anomaly has not been stored yet. A message can be faster than its row; this page looks again every two seconds.</p>
      <div class="progress" />
    </Notice>
  ) : (
    <Notice alone title="No such anomaly">
      <p>Nothing is stored under this id. It may have been deleted, or is older than what is kept.</p>
      <button type="button" class="button" onClick={reload}>
        Look again
      </button>
    </Notice>
  );
}

function Bones() {
  return (
    <div role="status" aria-label="Loading the anomaly" class="detail-bones">
      <span class="bone" />
      <span class="bone" />
      <span class="bone" />
      <span class="bone history-bone" />
    </div>
  );
}
