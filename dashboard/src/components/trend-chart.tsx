import { useCallback, useMemo } from "preact/hooks";
import type uPlot from "uplot";
import type { Trends } from "../api";
import { day } from "../time";
import { DAY_MS, daily, startOfDay, type ChartSpan } from "../trends";
import { Plot, type Colours } from "./plot";

const HEIGHT = 132;

interface Props {
  trends: Trends | null;
  span: ChartSpan;
  /** A day was clicked or a range dragged: start (inclusive) and end (exclusive), ms. */
  onSpan: (from: number, to: number) => void;
}

/** Anomalies per day as a line; the selected range is shaded. */
export function TrendChart({ trends, span, onSpan }: Props) {
  const { first, last } = span;
  const counted = useMemo(() => (trends === null ? null : daily(trends, first, last)), [trends, first, last]);
  const [from, to] = span.shade ?? [0, 0];
  const options = useCallback((colours: Colours) => look(colours, from, to), [from, to]);
  const data = useMemo<uPlot.AlignedData>(() => [(counted?.days ?? []).map((ms) => ms / 1000), counted?.counts ?? []], [counted]);
  const length = counted?.days.length ?? 30;
  return (
    <figure class="card figure">
      <figcaption>
        Anomalies over time <span class="quiet">per day, {length === 30 ? "last 30 days" : `${length.toLocaleString("en-GB")} days`}</span>
      </figcaption>
      {counted === null ? (
        <div class="skeleton plot" />
      ) : (
        <Plot
          label={`Anomalies per day over ${length} days, at most ${Math.max(...counted.counts)} per day`}
          height={HEIGHT}
          options={options}
          data={data}
          onPick={(index) => {
            const at = counted.days[index];
            if (at !== undefined) onSpan(at, at + DAY_MS);
          }}
          onDraw={(begin, end) => onSpan(startOfDay(begin * 1000), startOfDay(end * 1000) + DAY_MS)}
          tip={(index) => (
            <>
              <strong>
                {(counted.counts[index] ?? 0).toLocaleString("en-GB")} {counted.counts[index] === 1 ? "anomaly" : "anomalies"}
              </strong>
              <span>{day(counted.days[index] ?? 0)} (UTC)</span>
            </>
          )}
        />
      )}
    </figure>
  );
}

function look(colours: Colours, shadedFrom: number, shadedTo: number): Omit<uPlot.Options, "width" | "height"> {
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: colours("quiet"), font, ticks: { show: false } };
  return {
    padding: [8, 12, 0, 0],
    tzDate: (ts) => new Date(ts * 1000 + new Date(ts * 1000).getTimezoneOffset() * 60_000),
    cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 6 }, points: { size: 8, fill: colours("accent") } },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(4, Math.ceil(high * 1.15))] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 64, values: (_plot, at) => at.map((s) => day(s * 1000)) },
      {
        ...axis,
        grid: { stroke: colours("line"), width: 1 },
        size: 40,
        space: 30,
        values: (_plot, at) => at.map((n) => (Number.isInteger(n) ? n.toLocaleString("en-GB") : "")),
      },
    ],
    series: [{}, { stroke: colours("accent"), width: 2, fill: colours("accent-soft"), points: { show: false } }],
    hooks: {
      drawClear: [
        (plot) => {
          if (shadedTo === 0) return;
          const { left, top, width, height } = plot.bbox;
          const at = (ms: number) => Math.min(left + width, Math.max(left, plot.valToPos(ms / 1000, "x", true)));
          plot.ctx.fillStyle = colours("shade");
          plot.ctx.fillRect(at(shadedFrom), top, Math.max(2, at(shadedTo) - at(shadedFrom)), height);
        },
      ],
    },
  };
}
