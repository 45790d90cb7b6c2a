/** The steps of one execution against their usual times and shares. Pure. */

import type { Execution } from "./api";

export interface StepChange {
  name: string;
  now_s: number;
  usual_s: number | null;
  /** Of the time of all steps, 0..1. */
  share: number;
  usual_share: number | null;
  /** How much more than usual, in seconds; negative where it was faster. */
  more_s: number;
  failed: boolean;
}

/** A step that took so much of all steps' time more than usual is worth a look. */
const NOTABLE = 0.02;
const BAD: readonly (string | null | undefined)[] = ["failure", "error", "timeout"];

/** What failed and what grew, those that grew most first; a step that the others never had has no usual time. */
export function notableSteps(run: Execution, others: readonly Execution[]): StepChange[] {
  const whole = wholeOf(run);
  return stepChanges(run, others).filter(({ failed, usual_s, more_s, now_s }) => failed || (usual_s === null ? now_s : more_s) > NOTABLE * whole);
}

/** All that have a time, those that grew most first. */
export function stepChanges(run: Execution, others: readonly Execution[]): StepChange[] {
  const times = new Map<string, number[]>();
  const shares = new Map<string, number[]>();
  for (const other of others) {
    const whole = wholeOf(other);
    for (const { name, duration_s: took } of other.steps ?? []) {
      if (took == null) continue;
      add(times, name, took);
      if (whole > 0) add(shares, name, took / whole);
    }
  }
  const whole = wholeOf(run);
  return (run.steps ?? [])
    .flatMap(({ name, duration_s: took, status }) => {
      if (took == null) return [];
      const usual_s = median(times.get(name) ?? []);
      return [
        {
          name,
          now_s: took,
          usual_s,
          share: whole > 0 ? took / whole : 0,
          usual_share: median(shares.get(name) ?? []),
          more_s: usual_s === null ? 0 : took - usual_s,
          failed: BAD.includes(status),
        },
      ];
    })
    .sort((a, b) => b.more_s - a.more_s);
}

/** The time of all steps together; they may overlap, so it may be more than the execution took. */
function wholeOf({ steps }: Execution): number {
  return (steps ?? []).reduce((sum, { duration_s: took }) => sum + (took ?? 0), 0);
}

function add(lists: Map<string, number[]>, name: string, value: number): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, [value]);
  else list.push(value);
}

function median(values: number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? upper)) / 2;
}
