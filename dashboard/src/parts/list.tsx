import { anomalyAddress } from "../addresses";
import type { Anomaly, Standing, State } from "../api";
import { standingOf, useStandings } from "../standing";
import { compare, saying, typeName, zScore } from "../words";
import { Link } from "./link";
import { Icon, SeverityBadge, StateChip, Unseen } from "./marks";
import { Spark } from "./spark";
import { When } from "./when";

/** What can be done with the rows of a list. */
export interface Acting {
  chosen: ReadonlySet<string>;
  /** `range`: with everything between it and the one that was chosen last. */
  toggle: (id: string, range: boolean) => void;
  toggleAll: () => void;
  acknowledge: (anomaly: Anomaly) => void;
}

const COLUMNS = [
  ["severity", "Severity"],
  ["anomaly", "Anomaly"],
  ["history", "History"],
  ["now", "Now"],
  ["usual", "Usual"],
  ["z", "z-score"],
  ["when", "When"],
] as const;

interface Props {
  items: Anomaly[];
  acting?: Acting | undefined;
  /** All are of one entity, which the page names: each row then begins with its type, and has no history of its own. */
  ofOne?: boolean;
}

/** One row an anomaly; on a narrow screen each row becomes a card. The roles keep it a table in both forms. */
export function List({ items, acting, ofOne = false }: Props) {
  useStandings();
  const all = acting !== undefined && items.length > 0 && items.every(({ id }) => acting.chosen.has(id));
  return (
    <table class="list" role="table" aria-label="Anomalies">
      <thead role="rowgroup">
        <tr role="row">
          {acting !== undefined && (
            <th role="columnheader" scope="col" class="col-choose">
              <input type="checkbox" aria-label="Select all" checked={all} onChange={acting.toggleAll} />
            </th>
          )}
          {COLUMNS.filter(([column]) => !ofOne || column !== "history").map(([column, name]) => (
            <th key={column} role="columnheader" scope="col" class={`col-${column}`}>
              {name}
            </th>
          ))}
          {acting !== undefined && (
            <th role="columnheader" scope="col" class="col-act">
              <Unseen>Acknowledge</Unseen>
            </th>
          )}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {items.map((anomaly) => (
          <Row key={anomaly.id} anomaly={anomaly} acting={acting} ofOne={ofOne} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ anomaly, acting, ofOne }: { anomaly: Anomaly; acting: Acting | undefined; ofOne: boolean }) {
  const words = compare(anomaly);
  const { direction, z_score: z } = anomaly.metrics;
  const name = anomaly.entity_name || anomaly.entity_id;
  const standing = standingOf(anomaly);
  const isChosen = acting?.chosen.has(anomaly.id) === true;
  const seen = standing.acknowledged_at !== null || standing.state === "resolved";
  return (
    <tr role="row" data-id={anomaly.id} class={`${isChosen ? "chosen " : ""}${seen ? "seen" : ""}`}>
      {acting !== undefined && (
        <td role="cell" class="col-choose">
          <input
            type="checkbox"
            aria-label={`Select ${name}`}
            checked={isChosen}
            // The click knows whether shift was held; change does not.
            onClick={(event) => acting.toggle(anomaly.id, event.shiftKey)}
          />
        </td>
      )}
      <td role="cell" class="col-severity">
        <SeverityBadge severity={anomaly.severity} />
      </td>
      <td role="cell" class="col-anomaly">
        <span class="row-name">
          <Link class="row-link" href={anomalyAddress(anomaly.id)} title={`${anomaly.entity_id}: ${anomaly.description}`}>
            {ofOne ? typeName(anomaly.anomaly_type) : name}
          </Link>
          {anomaly.state !== "opened" && <StateChip state={anomaly.state} />}
          <DecisionChip standing={standing} record={anomaly.state} />
        </span>
        <span class="row-what">
          {!ofOne && <span class="row-type">{typeName(anomaly.anomaly_type)}</span>} {saying(anomaly)}
        </span>
      </td>
      {!ofOne && (
        <td role="cell" class="col-history">
          <Spark entity={`${anomaly.entity_kind}:${anomaly.entity_id}`} marked={anomaly.detected_at} />
        </td>
      )}
      <td role="cell" class="col-now">
        <span class={`direction ${direction}`}>
          <Icon name={direction} />
          <Unseen>{direction}</Unseen>
        </span>
        {words.now}
      </td>
      <td role="cell" class="col-usual">
        <span class="narrow-only">{words.usualLabel} </span>
        {words.usual}
      </td>
      <td role="cell" class="col-z">
        <span class="narrow-only">z </span>
        {zScore(z)}
      </td>
      <td role="cell" class="col-when">
        <When at={anomaly.detected_at} />
      </td>
      {acting !== undefined && (
        <td role="cell" class="col-act">
          <Acknowledge name={name} standing={standing} act={() => acting.acknowledge(anomaly)} />
        </td>
      )}
    </tr>
  );
}

/** One click; nothing to click where it is over or somebody has it already. */
function Acknowledge({ name, standing, act }: { name: string; standing: Standing; act: () => void }) {
  if (standing.acknowledged_at !== null || standing.state === "resolved") return null;
  return (
    <button
      type="button"
      class="icon-button small"
      title="Acknowledge (a)"
      aria-label={`Acknowledge ${name}`}
      onClick={(event) => {
        // The button goes; who came by keyboard stays at the row.
        event.currentTarget.closest("tr")?.querySelector<HTMLElement>(".row-link")?.focus();
        act();
      }}
    >
      <Icon name="check" />
    </button>
  );
}

/** What a person said of the incident, and that it is over where the record does not say so itself. */
export function DecisionChip({ standing, record }: { standing: Standing; record: State }) {
  const { verdict, acknowledged_at: at, acknowledged_by: by, state } = standing;
  return (
    <>
      {state === "resolved" && record !== "resolved" && <span class="chip state-resolved">Over</span>}
      {verdict != null ? (
        <span class="chip decided">{verdict === "expected" ? "Expected" : "Not an anomaly"}</span>
      ) : (
        at != null && (
          <span class="chip decided" title={by == null ? "" : `by ${by}`}>
            <Icon name="check" />
            Acknowledged
          </span>
        )
      )}
    </>
  );
}
