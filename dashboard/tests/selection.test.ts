import { expect, it } from "vitest";
import { bars } from "../src/run-bars";
import type { Execution } from "../src/api";
import { idsBetween, chunks } from "../src/selection";

it("chooses everything between two rows, in either direction", () => {
  expect(idsBetween(["a", "b", "c", "d"], "b", "d")).toEqual(["b", "c", "d"]);
  expect(idsBetween(["a", "b", "c", "d"], "d", "b")).toEqual(["b", "c", "d"]);
  expect(idsBetween(["a", "b"], null, "b")).toEqual(["b"]);
  expect(idsBetween(["a", "b"], "gone", "b")).toEqual(["b"]);
});

it("cuts many into parts that the server takes", () => {
  expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(chunks([], 2)).toEqual([]);
});

it("shows the last runs oldest first, each as high as it took long", () => {
  const run = (execution_id: string, status: string, duration_s: number | null) => ({ execution_id, status, duration_s }) as Execution;
  const shown = bars([run("3", "timeout", 50), run("2", "cancellation", null), run("1", "success", 100), run("0", "success", 9)], 3);
  expect(shown.map(({ run: { execution_id: id }, failed, aside, size }) => [id, failed, aside, size])).toEqual([
    ["1", false, false, 1],
    ["2", false, true, 0],
    ["3", true, false, 0.5],
  ]);
});
