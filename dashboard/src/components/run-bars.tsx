import type { Execution } from "../api";
import { bars, type Bar } from "../run-bars";
import { duration, exact } from "../time";
import { readable } from "../vocabulary";

const MOST = 40;
const WIDTH = 12;
const HEIGHT = 44;
const LEAST = 6;
const ROOM = 12;

/** Outcomes of the last runs, oldest first: bar height is the duration; failed runs are filled and crossed. */
export function RunBars({ runs }: { runs: readonly Execution[] }) {
  const shown = bars(runs, MOST);
  if (shown.length < 2) return null;
  const failed = shown.filter((bar) => bar.failed).length;
  return (
    <figure class="outcomes">
      <svg viewBox={`0 0 ${shown.length * WIDTH} ${HEIGHT + ROOM}`} role="img" aria-label={`${failed} of the last ${shown.length} runs failed`}>
        {shown.map((bar, index) => (
          <Run key={`${bar.run.execution_id} ${bar.run.attempt ?? 1}`} bar={bar} x={index * WIDTH} last={index === shown.length - 1} />
        ))}
      </svg>
      <figcaption class="quiet">
        {failed} of the last {shown.length} runs failed. Oldest first; bar height is the duration.
      </figcaption>
    </figure>
  );
}

function Run({ bar, x, last }: { bar: Bar; x: number; last: boolean }) {
  const { run, failed, aside, size } = bar;
  const height = LEAST + size * (HEIGHT - LEAST);
  const top = ROOM + HEIGHT - height;
  const took = run.duration_s == null || run.duration_s === 0 ? "" : `, ${duration(run.duration_s)}`;
  return (
    <g class={`outcome${failed ? " failed" : ""}${aside ? " aside" : ""}${last ? " this" : ""}`}>
      <title>{`${readable(run.status)}${took}, ${exact(run.finished_at)}`}</title>
      <rect class="outcome-hit" x={x} y="0" width={WIDTH} height={HEIGHT + ROOM} />
      <rect class="outcome-bar" x={x + 2} y={top} width={WIDTH - 4} height={height} rx="1.5" />
      {failed && <path d={`M${x + 3.5} ${top - 8.5}l5 5m0 -5l-5 5`} />}
    </g>
  );
}
