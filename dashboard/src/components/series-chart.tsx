import type { ComponentChildren } from "preact";
import { useCallback, useMemo } from "preact/hooks";
import uPlot from "uplot";
import { anomalyPath } from "../paths";
import { SERIES, type Anomaly, type ApiError, type Series, type SeriesPoint } from "../api";
import { columnsOf, floor, hasFailed, isOther, isThis } from "../series-columns";
import { useQuery } from "../query";
import { go } from "../route";
import { axisTime, exact } from "../time";
import { quantity } from "../format";
import { plainText } from "../plain-text";
import { Plot, type Colours } from "./plot";
import { severityClass } from "../vocabulary";

const HEIGHT = 260;
/** With more readings, dots overlap and take most of the drawing time. */
const MAX_DOTS = 300;
/** Steps of a duration axis in seconds: round to a person, 1 ms to 10 days. */
const TIME_STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200,
  10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000,
];

interface Props {
  /** The key of a workflow or scored entity. */
  entity: string;
  until?: string | undefined;
  readings?: number;
  /** Durations or scores, or the failure rate of the last 10 runs. */
  of?: "value" | "failures";
  /** The anomaly that the history is about, marked in it. */
  anomaly?: Anomaly;
  /** What is said below the chart of the readings that came. */
  below?: (points: readonly SeriesPoint[]) => ComponentChildren;
}

/** A past window is refetched only for late events: the server has to replay all of it. */
const PAST_MS = 600_000;
const NOW_MS = 60_000;

/** The readings with the band expected before each; anomalies are marked. */
export function SeriesChart({ entity, until, readings = 200, of = "value", anomaly, below }: Props) {
  const query = useMemo(() => {
    const asked = new URLSearchParams({ entity, limit: String(readings) });
    if (until !== undefined) asked.set("until", until);
    if (of !== "value") asked.set("of", of);
    return asked;
  }, [entity, until, readings, of]);
  const { value, error } = useQuery<Series>(SERIES, query, until === undefined ? NOW_MS : PAST_MS);
  return (
    <>
      {value !== null ? <Shown series={value} anomaly={anomaly} /> : error !== null ? <None error={error} /> : <Skeleton />}
      {below?.(value?.points ?? [])}
    </>
  );
}

function Skeleton() {
  return (
    <>
      <div class="skeleton history-skeleton" />
      <p class="legend">
        <LegendKeys />
      </p>
    </>
  );
}

/** The legend of every chart. */
function LegendKeys({ hasBand = true }: { hasBand?: boolean }) {
  return (
    <>
      <span class="key value">reading</span>
      {hasBand && <span class="key band">expected</span>}
      {hasBand && <span class="key mean">baseline</span>}
    </>
  );
}

function None({ error }: { error: ApiError }) {
  return <p class="quiet">{error.kind === "missing" ? "No data stored." : `Failed to load the history: ${error.message}`}</p>;
}

function Shown({ series, anomaly }: { series: Series; anomaly: Anomaly | undefined }) {
  if (series.points.length < 2) return <p class="quiet">No earlier reading to compare with.</p>;
  return <Chart series={series} anomaly={anomaly} />;
}

function Chart({ series, anomaly }: { series: Series; anomaly: Anomaly | undefined }) {
  const { points: all, unit } = series;
  const severity = severityClass(anomaly?.severity ?? "critical");
  const { points, columns, isOne } = useMemo(() => {
    const began = performance.now();
    const drawn = columnsOf(all, anomaly, unit);
    performance.measure("columns made", { start: began }); // for benchmarks/dashboard.py, like `plot drawn`
    return drawn;
  }, [all, anomaly, unit]);
  const options = useCallback((colours: Colours) => look(colours, unit, severity, isOne), [unit, severity, isOne]);
  const tip = (index: number) => {
    const point = points[index];
    if (point === undefined) return null;
    return (
      <>
        <strong>{quantity(point.value, unit)}</strong>
        {point.lower !== null && point.upper !== null && (
          <span>
            expected {quantity(floor(point.lower, unit), unit)} to {quantity(point.upper, unit)}
          </span>
        )}
        <span>{exact(point.t)}</span>
        {point.variant != null && <span>{plainText(point.variant)}</span>}
        {point.status != null && point.status !== "success" && <span>status: {point.status}</span>}
        {isThis(point, anomaly) ? (
          <span>this anomaly</span>
        ) : (
          point.anomaly !== null && <span>anomaly: click to open</span>
        )}
      </>
    );
  };
  return (
    <>
      <Plot
        label={`${all.length} readings${anomaly === undefined ? "" : " up to this anomaly"}${isOne ? ", with the expected band" : " of all variants"}`}
        height={HEIGHT}
        options={options}
        data={columns}
        tip={tip}
        onPick={(index) => {
          const id = points[index]?.anomaly;
          if (id != null && id !== anomaly?.id) go(anomalyPath(id));
        }}
      />
      <p class="legend">
        <LegendKeys hasBand={isOne} />
        {anomaly !== undefined && points.some((point) => isThis(point, anomaly)) && <span class={`key this ${severity}`}>this anomaly</span>}
        {points.some((point) => isOther(point, anomaly)) && (
          <span class="key other">{anomaly === undefined ? "anomalies" : "other anomalies"}</span>
        )}
        {points.some(hasFailed) && <span class="key failed">failed run</span>}
      </p>
    </>
  );
}

function look(colours: Colours, unit: string, severity: string, isOne: boolean): Omit<uPlot.Options, "width" | "height"> {
  const axis = { stroke: colours("quiet"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  const hidden = { width: 0, points: { show: false } };
  return {
    padding: [14, 36, 0, 0], // half a label of the axis
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: true } },
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "UTC"),
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 90, values: (_plot, at, _axis, _space, step) => at.map((s) => axisTime(s, step)) },
      {
        ...axis,
        grid: { stroke: colours("line"), width: 1 },
        size: 68,
        space: 40,
        ...(unit === "s" ? { incrs: TIME_STEPS } : {}),
        values: (_plot, at) => at.map((n) => quantity(n, unit)),
      },
    ],
    bands: [{ series: [1, 2], fill: colours("band") }],
    series: [
      {},
      { ...hidden, stroke: "transparent" },
      { ...hidden, stroke: "transparent" },
      { stroke: colours("quiet"), width: 1, dash: [4, 4], points: { show: false }, auto: false },
      {
        stroke: colours("accent"),
        width: 1.5,
        ...(isOne ? {} : { paths: () => null }),
        points: { show: (_plot, _series, first, last) => !isOne || last - first <= MAX_DOTS, size: 4, width: 0, fill: colours("accent"), space: 10 },
      },
      dots(colours("critical-fill"), 6, 0, colours("card")),
      dots(colours("card"), 8, 2, colours("strong")),
      dots(colours(`${severity}-fill`), 13, 2.5, colours("card")),
    ],
  };
}

/** Points without a line between them. */
function dots(fill: string, size: number, width: number, stroke: string): uPlot.Series {
  return { stroke, width: 1, auto: false, paths: () => null, points: { show: true, size, width, fill, stroke } };
}
