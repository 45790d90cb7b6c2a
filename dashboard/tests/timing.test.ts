import { expect, it } from "vitest";
import { isMissedRun, isStillRunning } from "../src/timing";

it("takes the end of an incident for that of the run that came or ended", () => {
  for (const state of ["opened", "ongoing"]) {
    expect(isMissedRun({ detector: "missed_run", state })).toBe(true);
    expect(isStillRunning({ detector: "still_running", state })).toBe(true);
  }
  for (const end_reason of ["recovered", "superseded"]) expect(isMissedRun({ detector: "missed_run", state: "resolved", end_reason })).toBe(false);
  expect(isMissedRun({ detector: "missed_run", state: "resolved", end_reason: "retired" })).toBe(true);
  expect(isStillRunning({ detector: "still_running", state: "resolved" })).toBe(false);
  expect(isMissedRun({ detector: "pattern_deviation", state: "opened" })).toBe(false);
});
