/** Score runs: entities scored, anomalies and failures of each. */

import { anomalyPath, runPath } from "../paths";
import { RUNS, withId, type Run } from "../api";
import { useQuery } from "../query";
import { moveFocus, useHotkeys } from "../hotkeys";
import { usePagination } from "../pagination";
import { Figure, PageFrame, PagedList, RowSkeletons, Section } from "../components/page-frame";
import { Link } from "../components/link";
import { Icon, StatusChip, VisuallyHidden } from "../components/badges";
import { ErrorNotice, Notice, StaleBanner } from "../components/notices";
import { Table, type Column } from "../components/table";
import { RelativeTime } from "../components/relative-time";
import { duration, exact } from "../time";
import { change, quantity } from "../format";

const FIRST = new URLSearchParams({ limit: "50" });
const NO_QUERY = new URLSearchParams();

export function RunsPage() {
  const pages = usePagination<Run>(RUNS, FIRST, 15_000);
  useHotkeys({ j: () => moveFocus(1), k: () => moveFocus(-1) });
  return (
    <PageFrame title="Score runs" note="All anomalies of a run are sent in one notification when the run completes; later ones in a follow-up.">
      <PagedList
        pages={pages}
        empty={
          <Notice title="No score runs yet">
            <p>A run appears here with its start event or its first score.</p>
          </Notice>
        }
        show={(items) => <Table label="Score runs" items={items} columns={COLUMNS} id={({ run_id }) => run_id} />}
      />
    </PageFrame>
  );
}

const number = (value: number | null) => value?.toLocaleString("en-GB") ?? "–";
const COLUMNS: Column<Run>[] = [
  {
    name: "Run",
    show: ({ run_id: id }) => (
      <Link class="row-link" href={runPath(id)}>
        {id}
      </Link>
    ),
  },
  { name: "Status", show: ({ status }) => <StatusChip status={status} /> },
  { name: "Scored", right: true, show: ({ scored, expected }) => (expected === null ? number(scored) : `${number(scored)} of ${number(expected)}`) },
  { name: "Anomalies", right: true, show: ({ anomaly_count: count }) => (count !== null && count > 0 ? <strong>{number(count)}</strong> : number(count)) },
  { name: "Failures", right: true, show: ({ failures }) => number(failures) },
  { name: "Duration", right: true, show: ({ duration_s: took }) => (took === null ? "–" : duration(took)) },
  { name: "Time", right: true, show: (run) => <Began run={run} /> },
];

function Began({ run: { started_at: started, ended_at: ended } }: { run: Run }) {
  const at = ended ?? started;
  return at === null ? <span class="quiet">–</span> : <RelativeTime at={at} />;
}

export function RunPage({ id }: { id: string }) {
  const { value, error, at, reload } = useQuery<Run>(withId("/api/v1/runs/{id}", id), NO_QUERY, 10_000);
  return (
    <PageFrame
      title={`Score run ${id}`}
      aside={
        <div class="head-marks">
          {value !== null && <StatusChip status={value.status} />}
          <Link class="button small" href="/runs">
            All score runs
          </Link>
        </div>
      }
    >
      {value !== null && error !== null && <StaleBanner error={error} at={at} reload={reload} />}
      {value !== null ? (
        <RunDetail run={value} />
      ) : error === null ? (
        <RowSkeletons rows={4} />
      ) : error.kind === "missing" ? (
        <Notice title="Score run not found">
          <p>No run with this id is stored. This page updates when it arrives.</p>
        </Notice>
      ) : (
        <ErrorNotice error={error} reload={reload} />
      )}
    </PageFrame>
  );
}

type Change = Run["anomalies"][number];

function RunDetail({ run }: { run: Run }) {
  const expected = run.expected === null ? "expected number unknown" : `of ${number(run.expected)} expected`;
  return (
    <>
      {run.error !== null && <div class="banner">The run failed: {run.error}</div>}
      {run.not_waited_for.length > 0 && (
        <div class="banner">
          The run was closed before all scores published until then were processed; missing (offsets): {run.not_waited_for.join("; ")}. Later scores are in
          further revisions.
        </div>
      )}
      <dl class="numbers">
        <Figure name="Scored" value={number(run.scored)} note={expected} strong />
        <Figure name="Anomalies" value={number(run.anomaly_count)} note="significant changes" />
        <Figure name="Failures" value={number(run.failures)} note="entities without a score" />
        <Figure name="Duration" value={run.duration_s === null ? "–" : duration(run.duration_s)} note={run.ended_at === null ? "still running" : "start to end"} />
      </dl>
      <Section title="Times" wide>
        <p>
          {run.started_at === null ? "No start event received." : `Started ${exact(run.started_at)}.`}{" "}
          {run.ended_at === null ? "Still running." : `Ended ${exact(run.ended_at)}.`}
          {run.revision !== null && run.revision > 1 && ` Revision ${number(run.revision)}: includes scores that arrived after the end.`}
        </p>
      </Section>
      {run.movement !== null && <Moved movement={run.movement} />}
      {run.anomalies.length === 0 ? (
        <Notice title={run.scored === null ? "In progress" : "No anomalies in this run"}>
          <p class="quiet">{run.scored === null ? "The summary is available when the run ends." : "No score changed by more than its threshold."}</p>
        </Notice>
      ) : (
        <section class="card found">
          <div class="section-head inset">
            <h2>Significant changes</h2>
          </div>
          <Table label="Significant changes" items={run.anomalies} columns={CHANGES} id={({ id: anomaly }) => anomaly} />
        </section>
      )}
    </>
  );
}

/** Of the entities with a previous score. */
function Moved({ movement: { fell = 0, rose = 0, unchanged = 0 } }: { movement: NonNullable<Run["movement"]> }) {
  return (
    <Section title="All entities" wide>
      <p>
        {number(fell)} fell and {number(rose)} rose by half of their threshold or more, {number(unchanged)} changed by less.
      </p>
    </Section>
  );
}

const CHANGES: Column<Change>[] = [
  {
    name: "Entity",
    show: ({ id, entity_id: entity, entity_name: shown }) => (
      <Link class="row-link" href={anomalyPath(id)}>
        {shown || entity}
      </Link>
    ),
  },
  { name: "Previous", right: true, show: ({ previous, current }) => quantity(previous, "points", current) },
  { name: "Current", right: true, show: ({ previous, current }) => <strong>{quantity(current, "points", previous)}</strong> },
  {
    name: "Change",
    right: true,
    show: ({ previous, current, delta, direction }) => (
      <span class={`change ${direction}`}>
        <Icon name={direction} />
        <VisuallyHidden>{direction}</VisuallyHidden>
        {change(delta, "points", String(previous).length > String(current).length ? previous : current)}
      </span>
    ),
  },
  { name: "Threshold", right: true, show: ({ threshold }) => (threshold === null ? "–" : quantity(threshold, "points")) },
];
