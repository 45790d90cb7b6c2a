import { describe, expect, it } from "vitest";
import type { Anomaly } from "../src/api";
import { change, compare, summaryOf, percent, quantity, shortDescription, settingValue, share, spreadOfBaseline, threshold, zScore } from "../src/format";

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

function anomaly(metrics: Partial<Anomaly["metrics"]>, given: Partial<Anomaly> = {}): Anomaly {
  return {
    anomaly_type: "UnusualExecutionTime",
    profile: "classic",
    ...given,
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

it("labels a value by what it counts", () => {
  const label = (anomaly_type: string, unit: string, given: Partial<Anomaly> = {}) => compare(anomaly({ unit, deviation: 1 }, { anomaly_type, ...given })).nowLabel;
  expect(label("PatternDeviation", "missed runs", { detector: "missed_run" })).toBe("in a row");
  expect(label("PatternDeviation", "s", { detector: "missed_run" })).toBe("late");
  expect(label("UnusualExecutionTime", "s", { detector: "still_running", state: "ongoing" })).toBe("running for");
  expect(label("UnusualExecutionTime", "s", { detector: "still_running", state: "resolved" })).toBe("took");
  expect(label("ConsecutiveFailures", "runs")).toBe("in a row");
  expect(label("PatternDeviation", "runs")).toBe("now");
  expect(label("PatternDeviation", "s")).toBe("now");
  expect(label("QueueGrowth", "s")).toBe("now");
});

it("compares a score with the one before, with the decimals of the longer", () => {
  const words = compare(anomaly({ current_value: 5, baseline_value: 7.55, deviation: -2.55, unit: "points" }));
  expect([words.now, words.usual, words.change]).toEqual(["5.00", "7.55", "−2.55"]);
});

it("says a threshold in the terms of its rule", () => {
  const value = (metrics: Partial<Anomaly["metrics"]>, given: Partial<Anomaly> = {}) => threshold(anomaly(metrics, given))?.value;
  expect(value({ threshold: 2, z_score: 2.1 })).toBe("z 2");
  expect(value({ threshold: 2.75, z_score: 3.7 }, { profile: "robust" })).toBe("1 in 560");
  expect(value({ threshold: 2, z_score: 2.4, unit: "ratio" }, { anomaly_type: "SpikeInFailures", profile: "robust" })).toBe("z 2");
  expect(value({ threshold: 0.9, z_score: 3.1, unit: "ratio" }, { anomaly_type: "ResourceExhaustion" })).toBe("90 %");
  expect(value({ threshold: 3, z_score: 3.1, unit: "MB" }, { anomaly_type: "ResourceExhaustion" })).toBe("z 3");
  expect(value({ threshold: 0.5, unit: "points" }, { anomaly_type: "SignificantScoreChange" })).toBe("0.5");
  expect(value({ threshold: 3, unit: "runs" }, { anomaly_type: "ConsecutiveFailures" })).toBe("3 runs");
  expect(threshold(anomaly({}))).toBe(null);
});

it("says how far the usual strays where z tells it", () => {
  const numbers = { current_value: 252, baseline_value: 125, deviation: 127, z_score: 127 / 9 };
  expect(spreadOfBaseline(anomaly(numbers))).toBe("± 9 s");
  expect(spreadOfBaseline(anomaly(numbers, { profile: "robust" }))).toBe(null);
  expect(spreadOfBaseline(anomaly({ ...numbers, z_score: null }))).toBe(null);
});

it("compares no sizes where a sequence of steps is new", () => {
  expect(compare(anomaly({ current_value: 120, baseline_value: 120, unit: "steps" }))).toMatchObject({ now: "120 steps", usual: "–", change: "–" });
});

it("does not say the name twice that stands beside the sentence", () => {
  const of = (description: string) => shortDescription({ description, entity_name: "Nightly", entity_id: "n1" });
  expect(of("Nightly took 4 m")).toBe("took 4 m");
  expect(of("n1 took 4 m")).toBe("took 4 m");
  expect(of("Nightly2 took 4 m")).toBe("Nightly2 took 4 m");
  expect(of("step x took 60 % of Nightly's time")).toBe("step x took 60 % of Nightly's time");
});

it("says z-scores and shares shortly", () => {
  expect([zScore(null), zScore(3.04), zScore(-2.25), zScore(1234.5)]).toEqual(["–", "3.0", "−2.3", "1235"]);
  expect([percent(1), percent(0.9974), percent(0.5)]).toEqual(["100 %", "99.74 %", "50 %"]);
});

it("says a share in passing with two digits", () => {
  expect([share(0.584), share(0.0584), share(0.0004), share(0), share(1)]).toEqual(["58 %", "5.8 %", "0.04 %", "0 %", "100 %"]);
});

it("takes from a message the sentence that says what happened", () => {
  expect(summaryOf("🟠 Warning: slow\n\nNightly took 4 m\n\nType: x", "Nightly: slow")).toBe("Nightly took 4 m");
  expect(summaryOf("One line", "A title")).toBe("One line");
  expect(summaryOf("The same", "The same")).toBe("");
  expect(summaryOf("", "A title")).toBe("");
});

it("says the values of settings with their units in words", () => {
  expect(settingValue("3600.0", "s")).toBe("1 h");
  expect(settingValue("90", "d")).toBe("90 days");
  expect(settingValue("1000", "1/s")).toBe("1,000 per second");
  expect(settingValue("0.5", "points")).toBe("0.5 points");
  expect(settingValue("", "s")).toBe("–");
  expect(settingValue("(set)", "")).toBe("(set)");
});
