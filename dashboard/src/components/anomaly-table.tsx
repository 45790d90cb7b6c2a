import { anomalyPath } from "../paths";
import type { Anomaly, IncidentStatus } from "../api";
import { keyOf, nameOf } from "../state-keys";
import { incidentStatusOf, useOptimisticUpdates } from "../optimistic-updates";
import { compare, shortDescription, zScore } from "../format";
import { typeName } from "../vocabulary";
import { Link } from "./link";
import { Icon, SeverityBadge, StateChip, VariantChip, VisuallyHidden } from "./badges";
import { Sparkline } from "./sparkline";
import { RelativeTime } from "./relative-time";

/** Selection and actions of the rows. */
export interface RowActions {
  chosen: ReadonlySet<string>;
  /** `range`: also selects everything between this row and the one selected last. */
  toggle: (id: string, range: boolean) => void;
  toggleAll: () => void;
  acknowledge: (anomaly: Anomaly) => void;
}

const COLUMNS = [
  ["severity", "Severity"],
  ["anomaly", "Anomaly"],
  ["history", "History"],
  ["now", "Current"],
  ["usual", "Baseline"],
  ["z", "z-score"],
  ["when", "Detected"],
] as const;

interface Props {
  items: Anomaly[];
  rowActions?: RowActions | undefined;
  /** All rows are of one entity, which the page names: each row then begins with its type and has no sparkline. */
  ofOne?: boolean;
  /** All rows are of one variant, which the page names. */
  ofOneVariant?: boolean;
}

/** One row per anomaly; on a narrow screen each row becomes a card. ARIA roles keep it a table in both layouts. */
export function AnomalyTable({ items, rowActions, ofOne = false, ofOneVariant = false }: Props) {
  useOptimisticUpdates();
  const all = rowActions !== undefined && items.length > 0 && items.every(({ id }) => rowActions.chosen.has(id));
  return (
    <table class="list" role="table" aria-label="Anomalies">
      <thead role="rowgroup">
        <tr role="row">
          {rowActions !== undefined && (
            <th role="columnheader" scope="col" class="col-choose">
              <input type="checkbox" aria-label="Select all" checked={all} onChange={rowActions.toggleAll} />
            </th>
          )}
          {COLUMNS.filter(([column]) => !ofOne || column !== "history").map(([column, name]) => (
            <th key={column} role="columnheader" scope="col" class={`col-${column}`}>
              {name}
            </th>
          ))}
          {rowActions !== undefined && (
            <th role="columnheader" scope="col" class="col-act">
              <VisuallyHidden>Acknowledge</VisuallyHidden>
            </th>
          )}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {items.map((anomaly) => (
          <Row key={anomaly.id} anomaly={anomaly} rowActions={rowActions} ofOne={ofOne} ofOneVariant={ofOneVariant} />
        ))}
      </tbody>
    </table>
  );
}

interface RowProps extends Required<Omit<Props, "items" | "rowActions">> {
  anomaly: Anomaly;
  rowActions: RowActions | undefined;
}

function Row({ anomaly, rowActions, ofOne, ofOneVariant }: RowProps) {
  const words = compare(anomaly);
  const { direction, z_score: z } = anomaly.metrics;
  const name = nameOf(anomaly);
  const status = incidentStatusOf(anomaly);
  const isChosen = rowActions?.chosen.has(anomaly.id) === true;
  const seen = status.acknowledged_at !== null || status.state === "resolved";
  return (
    <tr role="row" data-id={anomaly.id} class={`${isChosen ? "chosen " : ""}${seen ? "seen" : ""}`}>
      {rowActions !== undefined && (
        <td role="cell" class="col-choose">
          <input
            type="checkbox"
            aria-label={`Select ${name}`}
            checked={isChosen}
            // The click knows whether shift was held; change does not.
            onClick={(event) => rowActions.toggle(anomaly.id, event.shiftKey)}
          />
        </td>
      )}
      <td role="cell" class="col-severity">
        <SeverityBadge severity={anomaly.severity} />
      </td>
      <td role="cell" class="col-anomaly">
        <span class="row-name">
          <Link class="row-link" href={anomalyPath(anomaly.id)} title={`${anomaly.entity_id}: ${anomaly.description}`}>
            {ofOne ? typeName(anomaly.anomaly_type) : anomaly.entity_name || anomaly.entity_id}
          </Link>
          {!ofOneVariant && <VariantChip variant={anomaly.variant} />}
          {anomaly.state !== "opened" && <StateChip state={anomaly.state} reason={anomaly.end_reason} />}
          <IncidentChip status={status} record={anomaly.state} />
        </span>
        <span class="row-what">
          {!ofOne && <span class="row-type">{typeName(anomaly.anomaly_type)}</span>} {shortDescription(anomaly)}
        </span>
      </td>
      {!ofOne && (
        <td role="cell" class="col-history">
          <Sparkline entity={keyOf(anomaly)} marked={anomaly.detected_at} />
        </td>
      )}
      <td role="cell" class="col-now">
        <span class={`direction ${direction}`}>
          {(direction === "up" || direction === "down") && <Icon name={direction} />}
          <VisuallyHidden>{direction}</VisuallyHidden>
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
        <RelativeTime at={anomaly.detected_at} />
      </td>
      {rowActions !== undefined && (
        <td role="cell" class="col-act">
          <Acknowledge name={name} status={status} act={() => rowActions.acknowledge(anomaly)} />
        </td>
      )}
    </tr>
  );
}

/** Acknowledge with one click; absent if the incident is acknowledged or resolved. */
function Acknowledge({ name, status, act }: { name: string; status: IncidentStatus; act: () => void }) {
  if (status.acknowledged_at !== null || status.state === "resolved") return null;
  return (
    <button
      type="button"
      class="icon-button small"
      title="Acknowledge (a)"
      aria-label={`Acknowledge ${name}`}
      onClick={(event) => {
        // The button disappears: keep the keyboard focus on the row.
        event.currentTarget.closest("tr")?.querySelector<HTMLElement>(".row-link")?.focus();
        act();
      }}
    >
      <Icon name="check" />
    </button>
  );
}

/** What an operator decided about the incident; how it ended where this record itself does not say so. */
export function IncidentChip({ status, record }: { status: IncidentStatus; record: string }) {
  const { verdict, acknowledged_at: at, acknowledged_by: by, state, end_reason: reason } = status;
  return (
    <>
      {state === "resolved" && record !== "resolved" && <StateChip state={state} reason={reason} />}
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
