import { expect, it } from "vitest";
import type { SeriesPoint } from "../src/api";
import { columnsOf } from "../src/series-columns";

const point = (given: Partial<SeriesPoint>): SeriesPoint => ({
  t: "2026-01-22T12:00:00Z",
  value: 10,
  lower: -2,
  upper: 12,
  mean: 5,
  anomalous: false,
  anomaly: null,
  execution_id: "e",
  status: "success",
  ...given,
});
const anomaly = { id: "this", execution_id: "e3", detected_at: "2026-01-22T12:03:00Z" };

it("marks this anomaly, other anomalies and failed runs each in a column of its own", () => {
  const { columns } = columnsOf(
    [
      point({ lower: null, upper: null, mean: null }),
      point({ execution_id: "e1", status: "timeout" }),
      point({ execution_id: "e2", anomaly: "other" }),
      point({ execution_id: "e3", anomaly: "its first anomaly", value: 99 }),
    ],
    anomaly,
    "s",
  );
  expect(columns.slice(5)).toEqual([
    [null, 10, null, null],
    [null, null, 10, null],
    [null, null, null, 99],
  ]);
  expect(columns[2]).toEqual([null, 0, 0, 0]);
});

it("finds the anomaly of a score by its time, and lets its band go below 0", () => {
  const { columns } = columnsOf(
    [point({ t: "2026-01-22T13:03:00+01:00", execution_id: null })],
    { ...anomaly, execution_id: null },
    "points",
  );
  expect(columns[7]).toEqual([10]);
  expect(columns[2]).toEqual([-2]);
});

it("draws of many readings the ends of each stretch, failed runs, and every anomaly", () => {
  const at = (n: number) => new Date(Date.UTC(2026, 0, 22) + n * 1000).toISOString();
  const all = Array.from({ length: 10_001 }, (_, n) => point({ t: at(n), value: 100 + (n % 10), execution_id: `r${n}` }));
  Object.assign(all[25] ?? {}, { value: 500 });
  Object.assign(all[37] ?? {}, { value: -500 });
  Object.assign(all[4] ?? {}, { value: 104, status: "error" });
  Object.assign(all[5555] ?? {}, { anomaly: "other" });
  const { points, columns } = columnsOf(all, { ...anomaly, execution_id: "r7776" }, "s");
  const kept = points.map(({ execution_id: id }) => Number(id?.slice(1)));
  expect(kept).toEqual([...kept].sort((a, b) => a - b));
  for (const place of [0, 4, 9, 25, 37, 5555, 7776, 10_000]) expect(kept).toContain(place);
  expect(kept.length).toBeLessThan(2_020);
  expect(columns.map(({ length }) => length)).toEqual(Array.from({ length: 8 }, () => points.length));
  expect(columnsOf(all.slice(0, 2_000), undefined, "s").points).toHaveLength(2_000);
});

it("X21: readings of several variants have no common band", () => {
  const { columns, isOne } = columnsOf([point({ variant: "tag" }), point({ variant: null })], undefined, "s");
  expect(isOne).toBe(false);
  expect(columns.slice(1, 5)).toEqual([
    [null, null],
    [null, null],
    [null, null],
    [10, 10],
  ]);
  expect(columnsOf([point({ variant: "tag" }), point({ variant: "tag" })], undefined, "s").isOne).toBe(true);
});
