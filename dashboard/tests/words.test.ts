import { describe, expect, it } from "vitest";
import { TYPES, type Anomaly } from "../src/api";
import { change, compare, percent, quantity, threshold, typeName, TYPE_NAMES, zScore } from "../src/words";

describe("quantity", () => {
  it.each([
    [252, "s", "4 m 12 s"],
    [0.354, "ratio", "35.4 %"],
    [1, "runs", "1 run"],
    [3, "runs", "3 runs"],
    [5.8, "points", "5.8"],
    [5, "points", "5.0"],
    [-1.25, "points", "−1.25"],
    [12.3456, "MB", "12.35 MB"],
  ])("%d in %s is %s", (value, unit, words) => expect(quantity(value, unit)).toBe(words));

  it("shows scores side by side with the same decimals", () => {
    expect(quantity(5, "points", 5.75)).toBe("5.00");
  });
});

it("shows the sign of a change", () => {
  expect(change(127, "s")).toBe("+2 m 7 s");
  expect(change(-1.7, "points")).toBe("−1.7");
  expect(change(0, "runs")).toBe("0 runs");
});

function anomaly(metrics: Partial<Anomaly["metrics"]>): Anomaly {
  return {
    metrics: {
      current_value: 1,
      baseline_value: 1,
      deviation: 0,
      z_score: null,
      confidence: 1,
      unit: "s",
      direction: "up",
      ...metrics,
    },
  } as Anomaly;
}

it("compares a duration with what is usual", () => {
  expect(compare(anomaly({ current_value: 252, baseline_value: 125, deviation: 127 }))).toEqual({
    now: "4 m 12 s",
    usual: "2 m 5 s",
    change: "+2 m 7 s",
    nowLabel: "took",
    usualLabel: "usually",
  });
});

it("compares a score with the one before, with the decimals of the longer", () => {
  const words = compare(anomaly({ current_value: 5, baseline_value: 7.55, deviation: -2.55, unit: "points" }));
  expect([words.now, words.usual, words.change]).toEqual(["5.00", "7.55", "−2.55"]);
});

it("has a name for every type, and shows one it does not know as it came", () => {
  for (const type of TYPES) expect(TYPE_NAMES[type]).toMatch(/^[A-Z][a-z -]+$/);
  expect(typeName("SomethingNew")).toBe("SomethingNew");
  expect(typeName("constructor")).toBe("constructor");
});

it("says whether a threshold is one of z or of the number itself", () => {
  expect(threshold(anomaly({ threshold: 2, z_score: 2.1 }).metrics)).toBe("z 2");
  expect(threshold(anomaly({ threshold: 0.5, unit: "points" }).metrics)).toBe("0.5");
  expect(threshold(anomaly({ threshold: 3, unit: "runs" }).metrics)).toBe("3 runs");
  expect(threshold(anomaly({}).metrics)).toBe(null);
});

it("says z-scores and shares shortly", () => {
  expect([zScore(null), zScore(3.04), zScore(-2.25), zScore(1234.5)]).toEqual(["–", "3.0", "−2.3", "1235"]);
  expect([percent(1), percent(0.9974), percent(0.5)]).toEqual(["100 %", "99.74 %", "50 %"]);
});
