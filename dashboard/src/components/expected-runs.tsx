/** When runs are expected, learned or given by a rule, and which are missed now. Nothing where no times are known. */

import { useMemo } from "preact/hooks";
import { SCHEDULE, type ExpectedRuns, type SchedulePage } from "../api";
import { cameWords, missedWords } from "../expected-words";
import { usePagination } from "../pagination";
import { entityPath } from "../paths";
import { useQuery } from "../query";
import { nameOf } from "../state-keys";
import { duration, exact } from "../time";
import { Fact } from "./fact";
import { Link } from "./link";
import { Section } from "./page-frame";
import { RelativeTime } from "./relative-time";
import { Table, type Column } from "./table";

const POLL_MS = 30_000;
const SHOWN = "8";
const MISSED = new URLSearchParams({ missed: "true", limit: SHOWN });
const NEXT = new URLSearchParams({ missed: "false", limit: SHOWN });

/** Of all workflows: those with a missed run, then those whose next run is due first. */
export function ExpectedNext() {
  return (
    <>
      <List title="Missed runs" query={MISSED} columns={MISSED_COLUMNS} />
      <List title="Next expected" query={NEXT} columns={NEXT_COLUMNS} />
    </>
  );
}

function List({ title, query, columns }: { title: string; query: URLSearchParams; columns: readonly Column<ExpectedRuns>[] }) {
  const { items: all, more, busy, loadMore } = usePagination<ExpectedRuns>(SCHEDULE, query, POLL_MS);
  const items = (all ?? []).filter(({ missed, due_at: due }) => missed > 0 || due !== null);
  if (items.length === 0) return null;
  return (
    <section class="card found">
      <div class="section-head inset">
        <h2>{title}</h2>
      </div>
      <Table label={title} items={items} columns={columns} id={({ key }) => key} />
      {more && (
        <button type="button" class="button more" disabled={busy} onClick={loadMore}>
          {busy ? "Loading…" : "Show more"}
        </button>
      )}
    </section>
  );
}

/** Of one workflow: all that is known of its times; of one with several variants a row each. */
export function WorkflowTimes({ workflow, variant }: { workflow: string; variant: string | null }) {
  const asked = useMemo(() => {
    const query = new URLSearchParams({ workflow, limit: "100" });
    if (variant !== null) query.set("variant", variant);
    return query;
  }, [workflow, variant]);
  const { value } = useQuery<SchedulePage>(SCHEDULE, asked, POLL_MS);
  const items = value?.items ?? [];
  const [one] = items;
  if (one === undefined) return null;
  if (items.length === 1) return <Times of={one} />;
  return (
    <section class="card found">
      <div class="section-head inset">
        <h2>Times</h2>
      </div>
      <Table label="Times" items={items} columns={NEXT_COLUMNS} id={({ key }) => key} />
    </section>
  );
}

function Times({ of: run }: { of: ExpectedRuns }) {
  return (
    <Section title="Times" wide aside={<span class="quiet">{run.rule === "learned" ? "learned from its runs" : "given by EXPECT_RULES"}</span>}>
      <dl class="facts">
        <Fact name="Runs start">{run.text}</Fact>
        {run.expected > 0 && <Fact name="Expected runs">{cameWords(run)}</Fact>}
        {run.next_at != null && (
          <Fact name="Next run">
            <Instant at={run.next_at} />
          </Fact>
        )}
        {run.due_at != null && (
          <Fact name="Due by">
            <Instant at={run.due_at} />
          </Fact>
        )}
        {run.usual_duration_s != null && run.usual_duration_s > 0 && <Fact name="Usually takes">{duration(run.usual_duration_s)}</Fact>}
        {run.ends_by != null && <Fact name="Ends by">{run.ends_by}</Fact>}
        {run.missed > 0 && (
          <Fact name="Missed">
            <Missed run={run} />
          </Fact>
        )}
      </dl>
    </Section>
  );
}

function Instant({ at }: { at: string }) {
  return (
    <>
      {exact(at)} <span class="quiet">(<RelativeTime at={at} />)</span>
    </>
  );
}

function Missed({ run }: { run: ExpectedRuns }) {
  return (
    <span>
      <strong>{missedWords(run)}</strong>
      {run.missed_since != null && (
        <span class="quiet">
          {" "}
          since <RelativeTime at={run.missed_since} />
        </span>
      )}
    </span>
  );
}

const WORKFLOW: Column<ExpectedRuns> = {
  name: "Workflow",
  show: ({ workflow_id: id, workflow_name: name, variant }) => (
    <Link href={entityPath("workflow", id, variant)}>{nameOf({ entity_id: id, entity_name: name, variant })}</Link>
  ),
};
const TEXT: Column<ExpectedRuns> = {
  name: "Runs start",
  show: (run) => (
    <span>
      {run.text} {run.expected > 0 && <span class="quiet">{cameWords(run)}</span>}
    </span>
  ),
};
const DUE: Column<ExpectedRuns> = { name: "Due by", right: true, show: ({ due_at: at }) => (at == null ? "–" : <RelativeTime at={at} />) };
const NEXT_COLUMNS: Column<ExpectedRuns>[] = [
  WORKFLOW,
  TEXT,
  { name: "Next run", right: true, show: ({ next_at: at }) => (at == null ? "–" : <RelativeTime at={at} />) },
  DUE,
];
const MISSED_COLUMNS: Column<ExpectedRuns>[] = [
  WORKFLOW,
  TEXT,
  { name: "Missed", right: true, show: (run) => <Missed run={run} /> },
  { ...DUE, name: "Next due by" },
];
