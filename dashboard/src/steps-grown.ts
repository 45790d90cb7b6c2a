/** The steps of one execution against their usual times. Pure. */

import type { Execution } from "./api";

export interface StepChange {
  name: string;
  now_s: number;
  usual_s: number | null;
  /** How much more than usual, in seconds; negative where it was faster. */
  more_s: number;
  failed: boolean;
}

/** The steps that grew most first; a step that the others never had has no usual time. */
export function stepChanges(run: Execution, others: readonly Execution[]): StepChange[] {
  const usual = new Map<string, number[]>();
  for (const other of others) {
    for (const { name, duration_s: took } of other.steps ?? []) {
      if (took == null) continue;
      const times = usual.get(name);
      if (times === undefined) usual.set(name, [took]);
      else times.push(took);
    }
  }
  return (run.steps ?? [])
    .flatMap(({ name, duration_s: took, status }) => {
      if (took == null) return [];
      const usual_s = median(usual.get(name) ?? []);
      return [{ name, now_s: took, usual_s, more_s: usual_s === null ? 0 : took - usual_s, failed: status === "failure" || status === "error" || status === "timeout" }];
    })
    .sort((a, b) => b.more_s - a.more_s);
}

function median(values: number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? upper)) / 2;
}
