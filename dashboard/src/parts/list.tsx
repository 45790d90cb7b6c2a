import type { Anomaly, Incident } from "../api";
import { compare, typeName, zScore } from "../words";
import { anomalyAddress, Link } from "./link";
import { Icon, SeverityBadge, StateChip, Unseen } from "./marks";
import { Spark } from "./spark";
import { When } from "./when";

export interface Chosen {
  ids: ReadonlySet<string>;
  toggle: (id: string) => void;
  toggleAll: () => void;
}

interface Props {
  items: Anomaly[];
  /** Rows can be chosen for an action on many. */
  chosen?: Chosen | undefined;
  /** What people decided, by incident. */
  decided?: ReadonlyMap<string, Incident> | undefined;
}

/** One row an anomaly; on a narrow screen each row becomes a card. The roles keep it a table in both forms. */
export function List({ items, chosen, decided }: Props) {
  const all = chosen !== undefined && items.length > 0 && items.every(({ id }) => chosen.ids.has(id));
  return (
    <table class="list" role="table" aria-label="Anomalies">
      <thead role="rowgroup">
        <tr role="row">
          {chosen !== undefined && (
            <th role="columnheader" scope="col" class="col-choose">
              <input type="checkbox" aria-label="Select all" checked={all} onChange={chosen.toggleAll} />
            </th>
          )}
          {["Severity", "Anomaly", "Description", "History", "Now", "Usual", "z", "When"].map((name) => (
            <th key={name} role="columnheader" scope="col" class={`col-${name.toLowerCase()}`}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {items.map((anomaly) => (
          <Row key={anomaly.id} anomaly={anomaly} chosen={chosen} decided={decided?.get(anomaly.incident_id)} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ anomaly, chosen, decided }: { anomaly: Anomaly; chosen: Chosen | undefined; decided: Incident | undefined }) {
  const words = compare(anomaly);
  const { direction, z_score: z } = anomaly.metrics;
  const name = anomaly.entity_name || anomaly.entity_id;
  const isChosen = chosen?.ids.has(anomaly.id) === true;
  return (
    <tr role="row" data-id={anomaly.id} class={isChosen ? "chosen" : ""}>
      {chosen !== undefined && (
        <td role="cell" class="col-choose">
          <input type="checkbox" aria-label={`Select ${name}`} checked={isChosen} onChange={() => chosen.toggle(anomaly.id)} />
        </td>
      )}
      <td role="cell" class="col-severity">
        <SeverityBadge severity={anomaly.severity} />
      </td>
      <td role="cell" class="col-anomaly">
        <Link class="row-link" href={anomalyAddress(anomaly.id)} title={anomaly.entity_id}>
          {name}
        </Link>
        <span class="row-type">
          {typeName(anomaly.anomaly_type)}
          {anomaly.state !== "opened" && <StateChip state={anomaly.state} />}
          <DecisionChip incident={decided} />
        </span>
      </td>
      <td role="cell" class="col-description" title={anomaly.description}>
        {anomaly.description}
      </td>
      <td role="cell" class="col-history">
        <Spark entity={`${anomaly.entity_kind}:${anomaly.entity_id}`} />
      </td>
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
    </tr>
  );
}

/** What a person said of the incident, nothing where nobody did. */
export function DecisionChip({ incident }: { incident: Incident | undefined }) {
  if (incident === undefined) return null;
  const { verdict, acknowledged_at: at, acknowledged_by: by } = incident;
  if (verdict != null) return <span class="chip decided">{verdict === "expected" ? "Expected" : "Not an anomaly"}</span>;
  return at == null ? null : (
    <span class="chip decided" title={by == null ? "" : `by ${by}`}>
      <Icon name="check" />
      Acknowledged
    </span>
  );
}
