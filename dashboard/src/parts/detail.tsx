/** Everything about one anomaly: what happened, the numbers, how it went before, what to do and what was done. */

import { useMemo } from "preact/hooks";
import { runAddress, watchedAddress } from "../addresses";
import { withId, type Affected, type Anomaly, type IncidentDetail } from "../api";
import { useAnswer } from "../load";
import { useRunsBefore } from "../runs-before";
import { standingOf, useStandings } from "../standing";
import { exact } from "../times";
import { KIND_NAMES, saying, typeName } from "../words";
import { Context } from "./context";
import { CommentBox, Decisions } from "./decisions";
import { Fact } from "./facts";
import { Section } from "./frame";
import { History } from "./history";
import { isOutside, Link, OutsideLink, WithLinks } from "./link";
import { DecisionChip } from "./list";
import { Icon, SeverityBadge, StateChip } from "./marks";
import { Numbers } from "./numbers";
import { Outcomes } from "./outcomes";
import { Related } from "./related";
import { Steps } from "./steps";
import { Timeline } from "./timeline";
import { When } from "./when";
import { Why } from "./why";

const NO_QUERY = new URLSearchParams();
const OF_FAILURES: readonly string[] = ["SpikeInFailures", "ConsecutiveFailures"];

export function Detail({ anomaly }: { anomaly: Anomaly }) {
  useStandings();
  const { value: incident } = useAnswer<IncidentDetail>(withId("/api/v1/incidents/{id}", anomaly.incident_id), NO_QUERY, 15_000);
  const standing = standingOf({ ...anomaly, incident });
  const known = useKnown(anomaly);
  return (
    <article>
      <header class="detail-head">
        <div class="detail-marks">
          <SeverityBadge severity={anomaly.severity} />
          <span class="detail-type">{typeName(anomaly.anomaly_type)}</span>
          <StateChip state={anomaly.state} />
          <DecisionChip standing={standing} record={anomaly.state} />
          <span class="quiet">
            <When at={anomaly.detected_at} /> · {exact(anomaly.detected_at)}
          </span>
        </div>
        <h1 tabIndex={-1}>
          <Link href={watchedAddress(anomaly.entity_kind, anomaly.entity_id)}>{anomaly.entity_name || anomaly.entity_id}</Link>
        </h1>
        <p class="lead">{saying(anomaly)}</p>
      </header>
      <Decisions anomaly={anomaly} standing={standing} />
      <Numbers anomaly={anomaly} />
      <Charts anomaly={anomaly} />
      {anomaly.entity_kind === "workflow" && <Steps anomaly={anomaly} />}
      <div class="columns">
        <div class="column">
          <Section title="What to look at" aside={anomaly.url != null && isOutside(anomaly.url) && <OpenRun href={anomaly.url} />}>
            <ol class="steps">
              {anomaly.investigation_steps.map((step, index) => (
                <li key={index}>
                  <WithLinks text={step} known={known} />
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
                  <Known id={id} href={addressOfKind(kind, id) ?? known.get(id)} />
                </Fact>
              ))}
            </dl>
          </Section>
          <Section title="Context">
            <Context anomaly={anomaly} />
          </Section>
        </div>
        <div class="column">
          <Section title="What happened">
            {incident === null ? <div class="bone" /> : <Timeline incident={incident} />}
            <CommentBox incident={anomaly.incident_id} />
          </Section>
          <Related anomaly={anomaly} />
        </div>
      </div>
    </article>
  );
}

/** The series that the rule looked at, first; of failures also how the runs before ended. */
function Charts({ anomaly }: { anomaly: Anomaly }) {
  const entity = `${anomaly.entity_kind}:${anomaly.entity_id}`;
  const isOfFailures = OF_FAILURES.includes(anomaly.anomaly_type);
  const before = useRunsBefore(anomaly);
  if (anomaly.entity_kind === "score") {
    return (
      <Section title="Score over time" wide>
        <History entity={entity} until={anomaly.detected_at} anomaly={anomaly} />
      </Section>
    );
  }
  return (
    <>
      {isOfFailures && (
        <Section title="Failure rate of the last 10 runs" wide>
          {before !== null && <Outcomes runs={before.run === undefined ? before.others : [before.run, ...before.others]} />}
          <History entity={entity} of="failures" until={anomaly.detected_at} anomaly={anomaly} />
        </Section>
      )}
      <Section title="Execution time" wide>
        <History entity={entity} until={anomaly.detected_at} anomaly={anomaly} />
      </Section>
    </>
  );
}

function addressOfKind(kind: Affected["kind"], id: string): string | undefined {
  if (kind === "workflow") return watchedAddress("workflow", id);
  return kind === "entity" ? watchedAddress("score", id) : undefined;
}

function Known({ id, href }: { id: string; href: string | undefined }) {
  if (href === undefined) return <code>{id}</code>;
  return (
    <code>{href.startsWith("/") ? <Link href={href}>{id}</Link> : <OutsideLink href={href}>{id}</OutsideLink>}</code>
  );
}

function OpenRun({ href }: { href: string }) {
  return (
    <a class="button small" href={href} target="_blank" rel="noopener noreferrer">
      <Icon name="out" />
      Open the execution
    </a>
  );
}

/** Where the executions and the score run that are named can be looked at. */
function useKnown(anomaly: Anomaly): ReadonlyMap<string, string> {
  const before = useRunsBefore(anomaly);
  return useMemo(() => {
    const known = new Map<string, string>();
    for (const { execution_id: id, url } of [...(before?.others ?? []), ...(before?.run === undefined ? [] : [before.run])]) {
      if (url != null && isOutside(url)) known.set(id, url);
    }
    if (anomaly.run_id != null) known.set(anomaly.run_id, runAddress(anomaly.run_id));
    return known;
  }, [before, anomaly.run_id]);
}
