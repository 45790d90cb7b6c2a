/** Entity by time: each cell as high and as coloured as the worst in it. A click shows those anomalies. */

import { useState } from "preact/hooks";
import type { Overview } from "../api";
import { addressOf, anyOf } from "../filters";
import { follow } from "../route";
import { day } from "../times";
import { SEVERITY_NAMES } from "../words";
import { Link } from "./link";
import { SeverityShape, Unseen } from "./marks";

const HEIGHTS = { critical: 24, warning: 16, info: 9 } as const;
const ROW = 24;
const CELL = 10;

interface Props {
  overview: Overview;
}

interface Spot {
  row: number;
  cell: number;
}

export function Swimlane({ overview }: Props) {
  const { from, to, bucket_s: bucketS, swimlane } = overview;
  const [spot, setSpot] = useState<Spot | null>(null);
  const start = Date.parse(from);
  const count = Math.max(1, Math.round((Date.parse(to) - start) / 1000 / bucketS));
  const span = (index: number) => [start + index * bucketS * 1000, start + (index + 1) * bucketS * 1000] as const;
  const marks = [0, 1, 2, 3].map((quarter) => Math.floor((quarter * count) / 4));
  return (
    <div class="lanes">
      <ol>
        {swimlane.map((lane, row) => {
          const whole = addressOf({ ...anyOf("all"), entity: lane.entity, from: iso(start), to: iso(Date.parse(to)) });
          const shown = spot?.row === row ? lane.cells.find(({ bucket }) => bucket === spot.cell) : undefined;
          return (
            <li key={lane.entity} class="lane">
              <Link class="lane-name" href={whole} title={lane.entity_id}>
                <SeverityShape severity={lane.worst} />
                <span class="lane-text">{lane.entity_name || lane.entity_id}</span>
                <span class="lane-count">
                  {lane.count.toLocaleString("en-GB")}
                  <Unseen> anomalies, worst {SEVERITY_NAMES[lane.worst]}</Unseen>
                </span>
              </Link>
              <div class="lane-box" onMouseLeave={() => setSpot(null)}>
                <svg viewBox={`0 0 ${count * CELL} ${ROW}`} preserveAspectRatio="none">
                  {Array.from({ length: count }, (_, index) => (
                    <rect key={index} class="lane-rest" x={index * CELL + 0.7} y={ROW - 2} width={CELL - 1.4} height="2" />
                  ))}
                  {lane.cells.map(({ bucket, severity, count: found }) => {
                    const [at, end] = span(bucket);
                    const height = HEIGHTS[severity];
                    return (
                      <a
                        key={bucket}
                        href={addressOf({ ...anyOf("all"), entity: lane.entity, from: iso(at), to: iso(end) })}
                        tabIndex={-1}
                        aria-label={`${stamp(at)} UTC: ${found}, worst ${SEVERITY_NAMES[severity].toLowerCase()}`}
                        onClick={(event) => followIn(event)}
                        onMouseEnter={() => setSpot({ row, cell: bucket })}
                      >
                        <rect class="lane-hit" x={bucket * CELL} y="0" width={CELL} height={ROW} />
                        <rect class={`lane-cell ${severity}`} x={bucket * CELL + 0.7} y={ROW - height} width={CELL - 1.4} height={height} />
                      </a>
                    );
                  })}
                </svg>
                {shown !== undefined && spot !== null && (
                  <span
                    class={spot.cell > count / 2 ? "plot-tip flip" : "plot-tip"}
                    ref={(node) => {
                      if (node !== null) node.style.left = `${((spot.cell + 0.5) / count) * 100}%`;
                    }}
                  >
                    <strong>
                      {shown.count} {shown.count === 1 ? "anomaly" : "anomalies"}, worst {SEVERITY_NAMES[shown.severity].toLowerCase()}
                    </strong>
                    <span>
                      {stamp(span(spot.cell)[0])} to {stamp(span(spot.cell)[1])} UTC
                    </span>
                  </span>
                )}
              </div>
            </li>
          );
        })}
      </ol>
      <div class="lane-axis" aria-hidden="true">
        <span />
        <div>
          {marks.map((index) => (
            <span key={index}>{bucketS < 21_600 ? stamp(span(index)[0]) : day(span(index)[0])}</span>
          ))}
        </div>
      </div>
      <p class="legend">
        {(["critical", "warning", "info"] as const).map((severity) => (
          <span key={severity} class={`key lane-key ${severity}`}>
            {SEVERITY_NAMES[severity]}
          </span>
        ))}
        <span>The higher the worse. A click lists them.</span>
      </p>
    </div>
  );
}

function followIn(event: MouseEvent): void {
  // An SVG link has no pathname of its own: the address is read from its attribute.
  const link = event.currentTarget as SVGAElement;
  const address = new URL(link.href.baseVal, location.href);
  follow(event, address.pathname + address.search);
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

/** "22 Nov 14:00". */
function stamp(ms: number): string {
  return `${day(ms)} ${new Date(ms).toISOString().slice(11, 16)}`;
}
