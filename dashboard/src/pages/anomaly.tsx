import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { withId, type Anomaly } from "../api";
import { useAnswer } from "../load";
import { History } from "../parts/history";
import { Link, OutsideLink, WithLinks } from "../parts/link";
import { Icon, SeverityBadge, StateChip } from "../parts/marks";
import { Failed, Notice, Stale } from "../parts/notices";
import { When } from "../parts/when";
import { lastList } from "../route";
import { duration, exact } from "../times";
import { compare, KIND_NAMES, percent, threshold, typeName, zScore } from "../words";

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
  return (
    <article>
      <header class="detail-head">
        <div class="detail-marks">
          <SeverityBadge severity={anomaly.severity} />
          <StateChip state={anomaly.state} />
          <span class="quiet">
            <When at={anomaly.detected_at} /> · {exact(anomaly.detected_at)}
          </span>
        </div>
        <h1 tabIndex={-1}>
          {typeName(anomaly.anomaly_type)} <span class="of">{anomaly.entity_name || anomaly.entity_id}</span>
        </h1>
        <p class="lead">{anomaly.description}</p>
      </header>
      <Numbers anomaly={anomaly} />
      <Section title={anomaly.entity_kind === "score" ? "Score over time" : "Execution time"} wide>
        <History anomaly={anomaly} />
      </Section>
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
          <Section title="Context">
            <Context anomaly={anomaly} />
          </Section>
        </div>
      </div>
    </article>
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

function Figure({ name, value, note, strong = false }: { name: string; value: string; note: string; strong?: boolean }) {
  return (
    <div class={strong ? "number strong" : "number"}>
      <dt>{name}</dt>
      <dd>
        <span class="number-value">{value}</span>
        <span class="number-note">{note}</span>
      </dd>
    </div>
  );
}

function Context({ anomaly }: { anomaly: Anomaly }) {
  const list = (query: Record<string, string>) => `/anomalies?${new URLSearchParams(query).toString()}`;
  return (
    <dl class="facts">
      <Fact name={anomaly.entity_kind === "score" ? "Entity" : "Workflow"}>
        <Link href={list({ entity: anomaly.entity_id, range: "30d" })}>{anomaly.entity_id}</Link>
      </Fact>
      {anomaly.execution_id != null && (
        <Fact name="Execution">
          <code>{anomaly.execution_id}</code>
          {anomaly.attempt != null && <span> attempt {anomaly.attempt}</span>}
        </Fact>
      )}
      {anomaly.run_id != null && (
        <Fact name="Score run">
          <Link href={list({ run: anomaly.run_id })}>{anomaly.run_id}</Link>
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

function Section({ title, wide = false, children }: { title: string; wide?: boolean; children: ComponentChildren }) {
  return (
    <section class={wide ? "card section wide" : "card section"}>
      <h2>{title}</h2>
      {children}
    </section>
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
