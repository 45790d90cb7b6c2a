/** The readings of one entity as the columns of a chart. Pure. */

import type { AlignedData } from "uplot";
import type { Anomaly, SeriesPoint } from "./api";

type Column = (number | null)[];

export type Marked = Pick<Anomaly, "id" | "execution_id" | "detected_at">;

/** One run may show several anomalies, and the series names the first: the run itself decides, then the time. */
export function isThis(point: SeriesPoint, { id, execution_id: execution, detected_at: at }: Marked): boolean {
  if (point.anomaly === id) return true;
  return execution != null ? point.execution_id === execution : Date.parse(point.t) === Date.parse(at);
}

/** Whether it is an anomaly, but not this one. */
export function isOther(point: SeriesPoint, anomaly: Marked): boolean {
  return point.anomaly !== null && !isThis(point, anomaly);
}

export function hasFailed({ status }: SeriesPoint): boolean {
  return status === "failure" || status === "error" || status === "timeout";
}

/** uPlot's columns: time, upper, lower, usual, value, failed runs, other anomalies, this anomaly. */
export function columnsOf(points: readonly SeriesPoint[], anomaly: Marked, unit: string): AlignedData {
  const column = (pick: (point: SeriesPoint) => number | null): Column => points.map(pick);
  return [
    points.map(({ t }) => Date.parse(t) / 1000),
    column(({ upper }) => upper),
    column(({ lower }) => (lower === null ? null : floor(lower, unit))),
    column(({ mean }) => mean),
    column(({ value }) => value),
    column((point) => (hasFailed(point) ? point.value : null)),
    column((point) => (isOther(point, anomaly) ? point.value : null)),
    column((point) => (isThis(point, anomaly) ? point.value : null)),
  ];
}

/** No run takes less than no time, and no rate is below 0: the band ends there. */
export function floor(value: number, unit: string): number {
  return unit === "points" ? value : Math.max(0, value);
}
