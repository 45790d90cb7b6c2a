/** Entity by time: height and colour of each cell show its worst severity. A click lists those anomalies. */

import { useMemo, useState } from "preact/hooks";
import type { Overview } from "../api";
import { listPath, defaultFilters } from "../filters";
import { moveInSwimlane } from "../swimlane-keys";
import { ticks, type Tick } from "../swimlane-axis";
import { follow } from "../route";
import { nameOf } from "../state-keys";
import { clock, day, iso } from "../time";
import { SEVERITIES } from "../generated/registry";
import { readable, severityClass, severityRank, withUnknown } from "../vocabulary";
import { Link } from "./link";
import { SeverityShape, VisuallyHidden } from "./badges";

/** By severity: critical, warning, info; one of a later version is as high as the row. */
const HEIGHTS: Record<number, number> = { 0: 24, 1: 16, 2: 9 };
const ROW = 24;
const CELL = 10;

type LaneData = Pick<Overview["swimlane"][number], "cells" | "count" | "worst"> & { entity: string; name: string; title: string };

interface Spot {
  lane: string;
  cell: number;
}

/** `more` is the path that shows more lanes, or null. */
export function Swimlane({ overview, more }: { overview: Overview; more: string | null }) {
  const { from, to, bucket_s: bucketS, swimlane, everything, entities } = overview;
  const [spot, setSpot] = useState<Spot | null>(null);
  const start = Date.parse(from);
  const count = Math.max(1, Math.round((Date.parse(to) - start) / 1000 / bucketS));
  const marks = useMemo(() => ticks(start, bucketS, count), [start, bucketS, count]);
  const span = (bucket: number) => [start + bucket * bucketS * 1000, start + (bucket + 1) * bucketS * 1000] as const;
  const lanes: LaneData[] = swimlane.map((lane) => ({ ...lane, name: nameOf(lane), title: lane.entity_id }));
  const whole = allOf(everything, lanes, entities);
  return (
    <div class="lanes" onKeyDown={moveInSwimlane} onMouseLeave={() => setSpot(null)}>
      <ol>
        {[...(whole === null ? [] : [whole]), ...lanes].map((lane) => (
          <Lane key={lane.entity} lane={lane} count={count} marks={marks} span={span} spot={spot} onSpot={setSpot} />
        ))}
      </ol>
      <div class="lane-axis" aria-hidden="true">
        <span />
        <div>
          {marks.map(({ bucket, label }) => (
            <Mark key={bucket} at={bucket / count} label={label} />
          ))}
        </div>
      </div>
      <div class="lanes-foot">
        <p class="legend">
          {withUnknown(SEVERITIES, everything.map(({ severity }) => severity)).map((severity) => (
            <span key={severity} class={`key lane-key ${severityClass(severity)}`}>
              {readable(severity)}
            </span>
          ))}
          <span>Taller is more severe. Click or Enter lists the anomalies; arrow keys navigate. Times are UTC.</span>
        </p>
        {more !== null && (
          <Link href={more}>
            {lanes.length} of {entities.toLocaleString("en-GB")} shown: show more
          </Link>
        )}
      </div>
    </div>
  );
}

/** The first lane sums all entities if there are several: problems that hit many at once show up there. */
function allOf(cells: Overview["everything"], lanes: readonly LaneData[], entities: number): LaneData | null {
  if (lanes.length < 2) return null;
  const worst = cells.map(({ severity }) => severity).sort((a, b) => severityRank(a) - severityRank(b))[0] ?? "info";
  const count = cells.reduce((sum, cell) => sum + cell.count, 0);
  return { cells, count, worst, entity: "", name: `All ${entities.toLocaleString("en-GB")}`, title: "All anomalies opened in this range" };
}

interface LaneProps {
  lane: LaneData;
  count: number;
  marks: readonly Tick[];
  span: (bucket: number) => readonly [number, number];
  spot: Spot | null;
  onSpot: (spot: Spot | null) => void;
}

function Lane({ lane, count, marks, span, spot, onSpot }: LaneProps) {
  const { entity, name, title, cells, worst } = lane;
  const address = (at: number, end: number) => listPath({ ...defaultFilters("all"), entity, from: iso(at), to: iso(end) });
  const shown = spot?.lane === entity ? cells.find(({ bucket }) => bucket === spot.cell) : undefined;
  const [first] = span(0);
  return (
    <li class={entity === "" ? "lane lane-all" : "lane"}>
      <Link class="lane-name" href={address(first, span(count - 1)[1])} title={title}>
        <SeverityShape severity={worst} />
        <span class="lane-text">{name}</span>
        <span class="lane-count">
          {lane.count.toLocaleString("en-GB")}
          <VisuallyHidden> anomalies, worst {readable(worst)}</VisuallyHidden>
        </span>
      </Link>
      <div
        class="lane-box"
        onMouseMove={(event) => {
          const { left, width } = event.currentTarget.getBoundingClientRect();
          const cell = Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * count)));
          if (spot?.lane !== entity || spot.cell !== cell) onSpot({ lane: entity, cell });
        }}
      >
        <svg viewBox={`0 0 ${count * CELL} ${ROW}`} preserveAspectRatio="none">
          {spot !== null && <rect class="lane-column" x={spot.cell * CELL} y="0" width={CELL} height={ROW} />}
          {marks.map(({ bucket }) => (
            <line key={bucket} class="lane-mark" x1={bucket * CELL} x2={bucket * CELL} y1="0" y2={ROW} />
          ))}
          {cells.map(({ bucket, severity, count: found }) => {
            const [at, end] = span(bucket);
            const height = HEIGHTS[severityRank(severity)] ?? ROW;
            return (
              <a
                key={bucket}
                href={address(at, end)}
                tabIndex={-1}
                data-bucket={bucket}
                aria-label={`${stamp(at)} UTC: ${found}, worst ${readable(severity).toLowerCase()}`}
                onClick={(event) => followIn(event)}
                onFocus={() => onSpot({ lane: entity, cell: bucket })}
                onBlur={() => onSpot(null)}
              >
                <rect class="lane-hit" x={bucket * CELL} y="0" width={CELL} height={ROW} />
                <rect class={`lane-cell ${severityClass(severity)}`} x={bucket * CELL + 0.7} y={ROW - height} width={CELL - 1.4} height={height} />
              </a>
            );
          })}
        </svg>
        {shown !== undefined && (
          <span
            class={shown.bucket > count / 2 ? "plot-tip flip" : "plot-tip"}
            ref={(node) => {
              if (node !== null) node.style.left = `${((shown.bucket + 0.5) / count) * 100}%`;
            }}
          >
            <strong>
              {shown.count.toLocaleString("en-GB")} {shown.count === 1 ? "anomaly" : "anomalies"}, worst {readable(shown.severity).toLowerCase()}
            </strong>
            <span>
              {stamp(span(shown.bucket)[0])} to {stamp(span(shown.bucket)[1])} UTC
            </span>
          </span>
        )}
      </div>
    </li>
  );
}

function Mark({ at, label }: { at: number; label: string }) {
  return (
    <span
      class={at > 0.88 ? "flip" : ""}
      ref={(node) => {
        if (node !== null) node.style.left = `${at * 100}%`;
      }}
    >
      {label}
    </span>
  );
}

function followIn(event: MouseEvent): void {
  // An SVG link has no `pathname`: read its href attribute.
  const link = event.currentTarget as SVGAElement;
  const address = new URL(link.href.baseVal, location.href);
  follow(event, { address: address.pathname + address.search });
}

/** "22 Nov 14:00". */
function stamp(ms: number): string {
  return `${day(ms)} ${clock(ms)}`;
}
