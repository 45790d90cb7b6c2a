/** uPlot in a component: sized by its box, coloured by the theme, with a tooltip that words fill. */

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export type Colours = (name: string) => string;

interface Props {
  label: string;
  height: number;
  /** Built anew when the theme or the data's shape changes. */
  options: (colours: Colours) => Omit<uPlot.Options, "width" | "height">;
  data: uPlot.AlignedData;
  tip: (index: number) => ComponentChildren;
  onPick?: (index: number) => void;
  /** A stretch was drawn with the pointer: its ends on the x axis. Needs `cursor.drag.x` among the options. */
  onDraw?: (from: number, to: number) => void;
}

interface Spot {
  index: number;
  left: number;
  top: number;
  flip: boolean;
}

export function Plot({ label, height, options, data, tip, onPick, onDraw }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const pick = useRef(onPick);
  pick.current = onPick;
  const draw = useRef(onDraw);
  draw.current = onDraw;
  const [spot, setSpot] = useState<Spot | null>(null);
  const theme = useTheme();

  useLayoutEffect(() => {
    const host = box.current;
    if (host === null) return undefined;
    const style = getComputedStyle(host);
    const given = options((name) => style.getPropertyValue(`--${name}`).trim());
    const moved = (drawn: uPlot) => {
      const { idx, left = -1, top = -1 } = drawn.cursor;
      if (idx == null || left < 0) {
        setSpot(null);
        return;
      }
      const x = drawn.valToPos(drawn.data[0][idx] ?? 0, "x") + drawn.over.offsetLeft;
      setSpot({ index: idx, left: x, top: top + drawn.over.offsetTop, flip: x > host.clientWidth / 2 });
    };
    const began = performance.now();
    const drawn = new uPlot(
      {
        ...given,
        width: host.clientWidth,
        height,
        legend: { show: false },
        hooks: {
          ...given.hooks,
          setCursor: [moved, ...(given.hooks?.setCursor ?? [])],
          setSelect: [
            (plot) => {
              const { left, width } = plot.select;
              if (width > 0) draw.current?.(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
            },
          ],
          // For the browser's own timeline, and for benchmarks/dashboard.py.
          ready: [() => void performance.measure("plot drawn", { start: began }), ...(given.hooks?.ready ?? [])],
        },
      },
      data,
      host,
    );
    plot.current = drawn;
    // A click also ends each stretch that is drawn.
    const clicked = () => {
      if (drawn.select.width > 0) drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      else if (drawn.cursor.idx != null) pick.current?.(drawn.cursor.idx);
    };
    drawn.over.addEventListener("click", clicked);
    const resized = new ResizeObserver(() => {
      if (host.clientWidth > 0 && host.clientWidth !== drawn.width) drawn.setSize({ width: host.clientWidth, height });
    });
    resized.observe(host);
    return () => {
      resized.disconnect();
      drawn.destroy();
      plot.current = null;
      setSpot(null);
    };
    // The data is swapped below; a new plot is needed for a new look alone.
  }, [theme, options, height]);

  useEffect(() => {
    // A plot that was just made has drawn them: a second time would cost as much again.
    if (plot.current !== null && plot.current.data !== data) plot.current.setData(data);
  }, [data]);

  return (
    <div class="plot" role="img" aria-label={label}>
      <div ref={box} class="plot-box" aria-hidden="true" />
      {spot !== null && (
        <div
          class={spot.flip ? "plot-tip flip" : "plot-tip"}
          ref={(node) => {
            if (node === null) return;
            node.style.left = `${spot.left}px`;
            node.style.top = `${Math.max(0, spot.top - 24)}px`;
          }}
        >
          {tip(spot.index)}
        </div>
      )}
    </div>
  );
}

/** Changes when the person's system turns light or dark. */
function useTheme(): boolean {
  const [dark, setDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return dark;
}
