/** What runs now: executions whose start has come and whose end has not. Nothing where no starts are sent. */

import { useMemo } from "preact/hooks";
import { RUNNING, type Running, type RunningPage } from "../api";
import { entityPath } from "../paths";
import { useNow, useQuery } from "../query";
import { elapsed, waited } from "../running-time";
import { nameOf } from "../state-keys";
import { Link, OutsideLink } from "./link";
import { Table, type Column } from "./table";

const POLL_MS = 10_000;
const SHOWN = 8;

/** Of all workflows, or of one; those that have run for longest first. */
export function RunningNow({ workflow, variant = null }: { workflow?: string; variant?: string | null }) {
  const asked = useMemo(() => {
    const query = new URLSearchParams({ limit: String(SHOWN) });
    if (workflow !== undefined) query.set("workflow", workflow);
    if (variant !== null) query.set("variant", variant);
    return query;
  }, [workflow, variant]);
  const { value, at } = useQuery<RunningPage>(RUNNING, asked, POLL_MS);
  const now = useNow(1_000);
  const columns = useMemo(() => columnsFor(at, now, workflow === undefined), [at, now, workflow]);
  if (value === null || value.items.length === 0) return null;
  return (
    <section class="card found">
      <div class="section-head inset">
        <h2>Running now</h2>
        {value.next !== null && <span class="quiet">the {SHOWN} that have run for longest</span>}
      </div>
      <Table label="Running now" items={value.items} columns={columns} id={(run) => `${run.execution_id} ${run.attempt}`} />
    </section>
  );
}

function columnsFor(receivedMs: number, nowMs: number, named: boolean): Column<Running>[] {
  const execution: Column<Running> = { name: "Execution", show: (run) => <Execution run={run} /> };
  const workflow: Column<Running> = {
    name: "Workflow",
    show: (run) => (
      <Link href={entityPath("workflow", run.workflow_id, run.variant)}>
        {nameOf({ entity_id: run.workflow_id, entity_name: run.workflow_name, variant: run.variant })}
      </Link>
    ),
  };
  const times: Column<Running>[] = [
    { name: "Waited", right: true, show: (run) => waited(run) || "–" },
    { name: "Running for", right: true, show: (run) => <Time run={run} receivedMs={receivedMs} nowMs={nowMs} /> },
  ];
  return named ? [workflow, execution, ...times] : [execution, ...times];
}

function Execution({ run: { execution_id: id, attempt, url } }: { run: Running }) {
  return (
    <>
      <code>{url == null ? id : <OutsideLink href={url}>{id}</OutsideLink>}</code>
      {attempt > 1 && <span class="quiet"> attempt {attempt}</span>}
    </>
  );
}

function Time({ run, receivedMs, nowMs }: { run: Running; receivedMs: number; nowMs: number }) {
  const { words, share, isLong } = elapsed(run, receivedMs, nowMs);
  return (
    <>
      {share !== null && <meter class="elapsed" min={0} max={1} value={share} aria-hidden="true" />}
      {isLong ? <strong>{words}</strong> : words}
    </>
  );
}
