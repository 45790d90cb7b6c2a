/** Values as text: names, numbers with their units, comparisons. Pure. */

import type { Anomaly } from "./api";
import { duration } from "./time";
import { isStillRunning } from "./timing";
import { typeInfo } from "./vocabulary";

/** A number with its unit. `beside` is the number shown next to it: both get the same decimals. */
export function quantity(value: number, unit: string, beside: number = value): string {
  switch (unit) {
    case "s":
      return duration(value);
    case "ratio":
      return `${plain(value * 100, 3)} %`;
    case "runs":
      return `${plain(value, 6)} ${value === 1 ? "run" : "runs"}`;
    case "missed runs":
      return `${plain(value, 6)} missed ${value === 1 ? "run" : "runs"}`;
    case "points":
      return withSign(value.toFixed(Math.min(4, Math.max(1, decimals(value), decimals(beside)))));
    default:
      return unit === "" ? plain(value, 4) : `${plain(value, 4)} ${unit}`;
  }
}

/** `quantity` with an explicit sign: "+2 m 7 s", "−1.7". */
export function change(value: number, unit: string, beside: number = value): string {
  const text = quantity(value, unit, beside);
  return value > 0 ? `+${text}` : text;
}

/** The summary sentence of a message: its second paragraph, or the only one. */
export function summaryOf(body: string, title: string): string {
  const paragraphs = body.split(/\n\s*\n/).map((part) => part.trim());
  const summary = paragraphs.length > 1 ? (paragraphs[1] ?? "") : (paragraphs[0] ?? "");
  return summary === title ? "" : summary;
}

export interface Comparison {
  now: string;
  usual: string;
  change: string;
  /** Labels of `now` and `usual`. */
  nowLabel: string;
  usualLabel: string;
}

/** Current value against baseline, with labels that fit the unit. */
export function compare(anomaly: Anomaly): Comparison {
  const { current_value: current, baseline_value: baseline, deviation, unit } = anomaly.metrics;
  const [nowLabel, usualLabel] = labelsOf(anomaly);
  if (unit === "steps" && deviation === 0) {
    // A sequence of steps has no magnitude.
    return { now: quantity(current, unit), usual: "–", change: "–", nowLabel: "step order", usualLabel: "not seen recently" };
  }
  return {
    now: quantity(current, unit, baseline),
    usual: quantity(baseline, unit, current),
    change: change(deviation, unit, unit === "points" ? longer(current, baseline) : deviation),
    nowLabel,
    usualLabel,
  };
}

/** A unit alone does not say what is counted: executions in a day are `runs` too, and not every time is an execution's. */
function labelsOf(anomaly: Anomaly): [string, string] {
  const { anomaly_type: type, metrics: { unit } } = anomaly;
  if (anomaly.detector === "missed_run") return unit === "s" ? ["late", "usually"] : ["in a row", "usually"];
  if (isStillRunning(anomaly)) return ["running for", "usually"];
  if (unit === "points") return ["now", "before"];
  const { isTiming, isFailure } = typeInfo(type);
  if (unit === "s" && isTiming) return ["took", "usually"];
  return [unit === "runs" && isFailure ? "in a row" : "now", "usually"];
}

/** "3.2", "−4.1", or "–" for a rule without a z-score. */
export function zScore(z: number | null): string {
  return z === null ? "–" : withSign(z.toFixed(Math.abs(z) < 100 ? 1 : 0));
}

/**
 * The alert threshold in the terms of the rule: a z-score; for durations in profile robust a rarity (the event carries
 * −log10 of a probability); else a value in the unit of the metrics.
 */
export function threshold({ anomaly_type: type, profile, metrics }: Anomaly): { value: string; note: string } | null {
  const { threshold: limit, unit } = metrics;
  if (limit == null) return null;
  switch (typeInfo(type).thresholdUnit) {
    case "z_or_rarity":
      return profile === "robust" ? { value: `1 in ${plain(10 ** limit, 2)}`, note: "alert threshold (rarity)" } : zThreshold(limit);
    case "z":
      return zThreshold(limit);
    case "value_or_z":
      return unit === "ratio" ? valueThreshold(limit, unit) : zThreshold(limit);
    default:
      return valueThreshold(limit, unit);
  }
}

function zThreshold(limit: number): { value: string; note: string } {
  return { value: `z ${plain(limit, 4)}`, note: "alert threshold" };
}

function valueThreshold(limit: number, unit: string): { value: string; note: string } {
  return { value: quantity(limit, unit), note: "alert threshold" };
}

/** The description without the leading entity name, which is shown next to it. */
export function shortDescription({ description, entity_name: name, entity_id: id }: Pick<Anomaly, "description" | "entity_name" | "entity_id">): string {
  const begins = [name, id].find((one) => one !== "" && description.startsWith(`${one} `));
  return begins === undefined ? description : description.slice(begins.length + 1);
}

/** "1 m 40 s ± 3.2 s", "2 %": a baseline value with its standard deviation where useful; "–" while there is none. */
export function withSpread(learned: { value: number | null; std_dev: number | null; window_size: number } | undefined, unit: string): string {
  if (learned?.value == null || learned.window_size === 0) return "–";
  const value = quantity(learned.value, unit);
  return unit === "s" && learned.std_dev !== null && learned.std_dev > 0 ? `${value} ± ${duration(learned.std_dev)}` : value;
}

/**
 * The standard deviation of the baseline, "± 9 s". Only for durations in profile classic, where z is the deviation in
 * standard deviations.
 */
export function spreadOfBaseline({ anomaly_type: type, profile, metrics: { deviation, z_score: z } }: Anomaly): string | null {
  return typeInfo(type).isTiming && profile === "classic" && z !== null && z !== 0 ? `± ${duration(Math.abs(deviation / z))}` : null;
}

/** A setting's value with its unit: "1 h", "90 days", "1000 per second". */
export function settingValue(value: string, unit: string): string {
  if (value === "") return "–";
  const size = Number(value);
  if (unit === "" || Number.isNaN(size)) return value;
  switch (unit) {
    case "s":
      return duration(size);
    case "d":
      return `${plain(size, 6)} ${size === 1 ? "day" : "days"}`;
    case "1/s":
      return `${plain(size, 6)} per second`;
    default:
      return `${value} ${unit}`;
  }
}

/** A share with two significant digits: "58 %", "5.8 %", "0.04 %". */
export function share(ratio: number): string {
  const size = ratio * 100;
  return `${size >= 10 || size === 0 ? size.toFixed(0) : plain(size, 2)} %`;
}

export function percent(ratio: number): string {
  return `${plain(ratio * 100, ratio > 0.99 && ratio < 1 ? 4 : 3)} %`;
}

function plain(value: number, digits: number): string {
  return withSign(Number(value.toPrecision(digits)).toLocaleString("en-GB", { maximumFractionDigits: 6 }));
}

function withSign(text: string): string {
  return text.replace(/^-/, "−");
}

function decimals(value: number): number {
  const text = String(value);
  const at = text.indexOf(".");
  return at < 0 ? 0 : text.length - at - 1;
}

function longer(a: number, b: number): number {
  return decimals(a) >= decimals(b) ? a : b;
}
