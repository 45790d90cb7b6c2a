/** A sparkline of the last readings, loaded when it scrolls into view, two at a time: a long list appears at once. */

import { useEffect, useRef, useState } from "preact/hooks";
import { get, SERIES, type Series } from "../api";
import { points } from "../sparkline-points";
import { quantity } from "../format";

const READINGS = "40";
const AT_ONCE = 2;
const KEPT_MS = 60_000;
const WIDTH = 120;
const HEIGHT = 28;

const kept = new Map<string, { at: number; series: Promise<Series> }>();
const waiting: (() => void)[] = [];
let running = 0;

async function readings(entity: string): Promise<Series> {
  const known = kept.get(entity);
  if (known !== undefined && Date.now() - known.at < KEPT_MS) return known.series;
  const series = queued(() => get<Series>(SERIES, new URLSearchParams({ entity, limit: READINGS }), new AbortController().signal));
  kept.set(entity, { at: Date.now(), series });
  series.catch(() => kept.delete(entity));
  if (kept.size > 300) kept.delete(kept.keys().next().value ?? "");
  return series;
}

async function queued<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** `last` also shows the newest reading as text; the dot of the anomaly at `marked` is emphasised. */
export function Sparkline({ entity, last = false, marked = "" }: { entity: string; last?: boolean; marked?: string }) {
  const box = useRef<HTMLSpanElement>(null);
  const [series, setSeries] = useState<Series | null>(null);
  useEffect(() => {
    let here = true;
    setSeries(null);
    // A busy browser reports several changes at once; the first may be "not in view yet".
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      seen.disconnect();
      // Without its sparkline a row is still complete.
      readings(entity).then((found) => here && setSeries(found), () => undefined);
    });
    if (box.current !== null) seen.observe(box.current);
    return () => {
      here = false;
      seen.disconnect();
    };
  }, [entity]);
  const newest = series?.points.at(-1);
  return (
    <span class="spark" ref={box}>
      {series !== null && series.points.length > 1 && <Line series={series} marked={marked} />}
      {last && newest !== undefined && <span class="spark-last">{quantity(newest.value, series?.unit ?? "")}</span>}
    </span>
  );
}

function Line({ series, marked }: { series: Series; marked: string }) {
  const at = Date.parse(marked);
  const spots = points(series.points.map(({ value }) => value), WIDTH, HEIGHT);
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true">
      <polyline points={spots.map(([x, y]) => `${x},${y}`).join(" ")} />
      {series.points.map(({ anomaly, t }, index) => {
        const [x, y] = spots[index] ?? [0, 0];
        if (anomaly === null) return null;
        // By its time: where one run shows several anomalies the series names the first.
        const isMarked = Date.parse(t) === at;
        return <circle key={index} class={isMarked ? "marked" : ""} cx={x} cy={y} r={isMarked ? 3 : 2} />;
      })}
    </svg>
  );
}
