/** The executions of a workflow up to an anomaly: what its steps are compared with, and what led to it. */

import { useMemo } from "preact/hooks";
import { EXECUTIONS, type Anomaly, type Execution, type ExecutionList } from "./api";
import { useQuery } from "./query";
import { isMissedRun } from "./timing";

const MOST = "60";

export interface PreviousRuns {
  /** The one that the anomaly is about, where there is one and it is stored. */
  run: Execution | undefined;
  /** Those before it, newest first. */
  others: Execution[];
}

/** Null while it is not known, and for an anomaly of a score. */
export function usePreviousRuns(anomaly: Anomaly): PreviousRuns | null {
  const { entity_id: workflow, detected_at: at, execution_id: id, attempt, variant } = anomaly;
  const isOfRun = anomaly.entity_kind === "workflow" && id != null;
  const query = useMemo(() => {
    // `to` is exclusive, and the anomalous execution is to be the first of the answer.
    const to = new Date(Date.parse(at) + 1).toISOString();
    return new URLSearchParams({ workflow, to, limit: MOST, ...(variant == null ? {} : { variant }) });
  }, [workflow, at, variant]);
  const missed = isMissedRun(anomaly);
  const { value } = useQuery<ExecutionList>(isOfRun ? EXECUTIONS : null, query, 300_000);
  return useMemo(() => {
    if (value === null) return null;
    const run = missed ? undefined : value.items.find((one) => one.execution_id === id && (one.attempt ?? 1) === (attempt ?? 1));
    return { run, others: value.items.filter((other) => other !== run) };
  }, [value, id, attempt, missed]);
}
