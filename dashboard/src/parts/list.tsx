import type { Anomaly } from "../api";
import { compare, typeName, zScore } from "../words";
import { anomalyAddress, Link } from "./link";
import { Icon, SeverityBadge, StateChip, Unseen } from "./marks";
import { When } from "./when";

/** One row an anomaly; on a narrow screen each row becomes a card. The roles keep it a table in both forms. */
export function List({ items }: { items: Anomaly[] }) {
  return (
    <table class="list" role="table" aria-label="Anomalies">
      <thead role="rowgroup">
        <tr role="row">
          {["Severity", "Anomaly", "Description", "Now", "Usual", "z", "When"].map((name) => (
            <th key={name} role="columnheader" scope="col" class={`col-${name.toLowerCase()}`}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {items.map((anomaly) => (
          <Row key={anomaly.id} anomaly={anomaly} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ anomaly }: { anomaly: Anomaly }) {
  const words = compare(anomaly);
  const { direction, z_score: z } = anomaly.metrics;
  return (
    <tr role="row" data-id={anomaly.id}>
      <td role="cell" class="col-severity">
        <SeverityBadge severity={anomaly.severity} />
      </td>
      <td role="cell" class="col-anomaly">
        <Link class="row-link" href={anomalyAddress(anomaly.id)} title={anomaly.entity_id}>
          {anomaly.entity_name || anomaly.entity_id}
        </Link>
        <span class="row-type">
          {typeName(anomaly.anomaly_type)}
          {anomaly.state !== "opened" && <StateChip state={anomaly.state} />}
        </span>
      </td>
      <td role="cell" class="col-description" title={anomaly.description}>
        {anomaly.description}
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

export function ListBones() {
  return (
    <div class="list-bones" role="status">
      <Unseen>Loading anomalies</Unseen>
      {Array.from({ length: 8 }, (_, index) => (
        <div key={index} class="bone-row">
          <span class="bone" />
          <span class="bone" />
          <span class="bone" />
        </div>
      ))}
    </div>
  );
}
