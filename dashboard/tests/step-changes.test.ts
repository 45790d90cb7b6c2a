import { expect, test } from "vitest";
import type { Execution } from "../src/api";
import { points } from "../src/sparkline-points";
import { notableSteps, stepChanges } from "../src/step-changes";

const run = (...steps: [string, number | null, string?][]) =>
  ({ steps: steps.map(([name, duration_s, status]) => ({ name, duration_s, status })) }) as Execution;

test("the step that grew most comes first, against the median of the others and their shares", () => {
  const now = run(["compile", 41], ["test", 201, "failure"], ["new", 5], ["untimed", null]);
  const before = [run(["compile", 40], ["test", 60]), run(["compile", 44], ["test", 66])];
  expect(stepChanges(now, before)).toEqual([
    { name: "test", now_s: 201, usual_s: 63, share: 201 / 247, usual_share: 0.6, more_s: 138, failed: true },
    { name: "new", now_s: 5, usual_s: null, share: 5 / 247, usual_share: null, more_s: 0, failed: false },
    { name: "compile", now_s: 41, usual_s: 42, share: 41 / 247, usual_share: 0.4, more_s: -1, failed: false },
  ]);
  expect(stepChanges(run(), before)).toEqual([]);
});

test("a step is notable that failed, is new, or took two hundredths of all time more than usual", () => {
  const before = [run(["compile", 40], ["test", 55], ["lint", 1])];
  const names = (now: Execution) => notableSteps(now, before).map(({ name }) => name);
  expect(names(run(["compile", 40], ["test", 56], ["lint", 1]))).toEqual([]);
  expect(names(run(["compile", 40], ["test", 58], ["lint", 1, "error"]))).toEqual(["test", "lint"]);
  expect(names(run(["compile", 10], ["deploy", 30]))).toEqual(["deploy"]);
});

test("a small line keeps within its box; one that is level lies in the middle", () => {
  expect(points([1, 3, 2], 100, 20)).toEqual([
    [3, 17],
    [50, 3],
    [97, 10],
  ]);
  expect(points([7, 7], 100, 20).map(([, y]) => y)).toEqual([10, 10]);
});
