/** What runs now: executions whose start has come and whose end has not. Nothing where no starts are sent. */

import { useMemo, useState } from "preact/hooks";
import { RUNNING, type Running, type RunningPage } from "../api";
import { entityPath } from "../paths";
import { useNow, useQuery } from "../query";
import { elapsed, waited } from "../running-time";
import { nameOf } from "../state-keys";
import { Link, OutsideLink } from "./link";
import { RelativeTime } from "./relative-time";
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
  if (value === null || value.items.length + value.probably_ended === 0) return null;
  return (
    <section class="card found">
      <div class="section-head inset">
        <h2>Running now</h2>
        {value.next !== null && <span class="quiet">the {SHOWN} that have run for longest</span>}
      </div>
      {value.items.length > 0 && <Table label="Running now" items={value.items} columns={columns} id={(run) => `${run.execution_id} ${run.attempt}`} />}
      {value.not_watched > 0 && (
        <p class="quiet inset">
          {value.not_watched.toLocaleString("en-GB")} more {value.not_watched === 1 ? "is" : "are"} not watched for running too long: of each
          workflow 16 are, at once.
        </p>
      )}
      {value.probably_ended > 0 && <ProbablyEnded count={value.probably_ended} asked={asked} named={workflow === undefined} />}
    </section>
  );
}

/** Killed runs, and runs whose end was lost: listed on demand, so that what runs is not hidden by them. */
function ProbablyEnded({ count, asked, named }: { count: number; asked: URLSearchParams; named: boolean }) {
  const [open, setOpen] = useState(false);
  const query = useMemo(() => new URLSearchParams([...asked, ["probably_ended", "true"]]), [asked]);
  const { value } = useQuery<RunningPage>(open ? RUNNING : null, query, POLL_MS);
  const columns = useMemo(() => [...(named ? [WORKFLOW] : []), EXECUTION, STARTED], [named]);
  return (
    <>
      <p class="quiet inset">
        {count.toLocaleString("en-GB")} more {count === 1 ? "has" : "have"} probably ended without notice: killed, or the end was lost.{" "}
        <button type="button" class="button small" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Hide" : "List"}
        </button>
      </p>
      {open && value !== null && (
        <Table label="Probably ended without notice" items={value.items} columns={columns} id={(run) => `${run.execution_id} ${run.attempt}`} />
      )}
    </>
  );
}

const EXECUTION: Column<Running> = { name: "Execution", show: (run) => <Execution run={run} /> };
const WORKFLOW: Column<Running> = {
  name: "Workflow",
  show: (run) => (
    <Link href={entityPath("workflow", run.workflow_id, run.variant)}>
      {nameOf({ entity_id: run.workflow_id, entity_name: run.workflow_name, variant: run.variant })}
    </Link>
  ),
};
const STARTED: Column<Running> = { name: "Started", right: true, show: ({ started_at: at }) => <RelativeTime at={at} /> };

function columnsFor(receivedMs: number, nowMs: number, named: boolean): Column<Running>[] {
  const times: Column<Running>[] = [
    { name: "Waited", right: true, show: (run) => waited(run) || "–" },
    { name: "Running for", right: true, show: (run) => <Time run={run} receivedMs={receivedMs} nowMs={nowMs} /> },
  ];
  return named ? [WORKFLOW, EXECUTION, ...times] : [EXECUTION, ...times];
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
  const { words, bar, isLong } = elapsed(run, receivedMs, nowMs);
  return (
    <>
      {bar !== null && (
        <svg class="elapsed" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">
          <rect class="elapsed-whole" y="2" height="8" width="100" />
          <rect class={isLong ? "step-now more" : "step-now"} y="2" height="8" width={bar.now * 100} />
          {bar.usual !== null && <rect class="step-usual" x={bar.usual * 100 - 0.6} height="12" width="1.2" />}
          {bar.limit !== null && <rect class="elapsed-limit" x={bar.limit * 100 - 0.6} height="12" width="1.2" />}
        </svg>
      )}
      {isLong ? <strong>{words}</strong> : <span>{words}</span>}
    </>
  );
}
