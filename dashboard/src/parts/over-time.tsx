import { useCallback, useMemo } from "preact/hooks";
import type uPlot from "uplot";
import type { Trends } from "../api";
import type { Filters } from "../filters";
import { day } from "../times";
import { daily } from "../trends";
import { Plot, type Colours } from "./plot";

const DAYS = 30;
const DAYS_IN = { "24h": 1, "7d": 7, "30d": DAYS, all: DAYS } as const;

/** Anomalies a day over the last 30 days as a line; the chosen range is shaded, so the eye keeps its place. */
export function OverTime({ trends, range, now }: { trends: Trends | null; range: Filters["range"]; now: number }) {
  const today = Math.floor(now / 86_400_000);
  const counted = useMemo(() => (trends === null ? null : daily(trends, DAYS, today * 86_400_000)), [trends, today]);
  const options = useCallback((colours: Colours) => look(colours, DAYS_IN[range]), [range]);
  const data = useMemo<uPlot.AlignedData>(
    () => [(counted?.days ?? []).map((ms) => ms / 1000), counted?.counts ?? []],
    [counted],
  );
  if (counted === null) return <Frame>{<div class="bone plot" />}</Frame>;
  const { days, counts } = counted;
  const most = Math.max(...counts);
  return (
    <Frame>
      <Plot
        label={`Anomalies a day over the last 30 days, at most ${most} a day`}
        height={168}
        options={options}
        data={data}
        tip={(index) => (
          <>
            <strong>
              {counts[index]} {counts[index] === 1 ? "anomaly" : "anomalies"}
            </strong>
            <span>{day(days[index] ?? 0)} (UTC)</span>
          </>
        )}
      />
    </Frame>
  );
}

function Frame({ children }: { children: preact.ComponentChildren }) {
  return (
    <figure class="card figure">
      <figcaption>
        Anomalies over time <span class="quiet">a day, last 30 days</span>
      </figcaption>
      {children}
    </figure>
  );
}

function look(colours: Colours, shadedDays: number): Omit<uPlot.Options, "width" | "height"> {
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: colours("quiet"), font, ticks: { show: false } };
  return {
    padding: [10, 12, 0, 0],
    tzDate: (ts) => new Date(ts * 1000 + new Date(ts * 1000).getTimezoneOffset() * 60_000),
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8, fill: colours("accent") } },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(4, Math.ceil(high * 1.15))] } },
    axes: [
      { ...axis, grid: { show: false }, size: 26, space: 64, values: (_plot, at) => at.map((s) => day(s * 1000)) },
      {
        ...axis,
        grid: { stroke: colours("line"), width: 1 },
        size: 40,
        space: 36,
        values: (_plot, at) => at.map((n) => (Number.isInteger(n) ? n.toLocaleString("en-GB") : "")),
      },
    ],
    series: [
      {},
      { stroke: colours("accent"), width: 2, fill: colours("accent-soft"), points: { show: false } },
    ],
    hooks: {
      drawClear: [
        (plot) => {
          const last = plot.data[0].at(-1);
          if (last === undefined || shadedDays >= DAYS) return;
          const from = plot.valToPos(last - shadedDays * 86_400, "x", true);
          const { left, top, width, height } = plot.bbox;
          plot.ctx.fillStyle = colours("shade");
          plot.ctx.fillRect(Math.max(left, from), top, left + width - Math.max(left, from), height);
        },
      ],
    },
  };
}
