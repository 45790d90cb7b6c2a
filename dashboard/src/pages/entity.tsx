/** One workflow or scored entity: history with the expected band, baselines, last runs, anomalies. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { entityPath, type Kind } from "../paths";
import { ANOMALIES, EXECUTIONS, type AnomalyPage, type Baseline, type BaselinePage, type Execution, type ExecutionList, type SeriesPoint } from "../api";
import { useQuery, type QueryResult } from "../query";
import { RelearnDialog } from "../components/incident-actions";
import { WorkflowTimes } from "../components/expected-runs";
import { Figure, PageFrame, RowSkeletons, Section } from "../components/page-frame";
import { SeriesChart } from "../components/series-chart";
import { Link, OutsideLink } from "../components/link";
import { AnomalyTable } from "../components/anomaly-table";
import { Icon, BaselineStateChip, StatusChip, VariantChip } from "../components/badges";
import { ErrorNotice, Notice, StaleBanner } from "../components/notices";
import { RunBars } from "../components/run-bars";
import { RunningNow } from "../components/running-now";
import { Table, type Column } from "../components/table";
import { RelativeTime } from "../components/relative-time";
import { useCanAct } from "../permissions";
import { go } from "../route";
import { plainText } from "../plain-text";
import { before, LENGTHS, readSeriesWindow, seriesWindowPath, type SeriesWindow } from "../series-window";
import { nameOf, stateKey } from "../state-keys";
import { waited } from "../running-time";
import { date, duration } from "../time";
import { quantity } from "../format";
import { KINDS, VARIANT_COLUMNS } from "./entities";

const POLL_MS = 30_000;

/** A workflow with variants shows these; each has a page like that of a workflow without. */
export function EntityPage({ kind, id, query }: { kind: Kind; id: string; query: URLSearchParams }) {
  const { path, route, title } = KINDS[kind];
  const seriesWindow = readSeriesWindow(query);
  const variant = (kind === "workflow" && query.get("variant")) || null;
  const { value, error, at, reload } = useQuery<BaselinePage>(route, useMemo(() => new URLSearchParams({ id, limit: "500" }), [id]), POLL_MS);
  const canAct = useCanAct();
  const [relearning, setRelearning] = useState(false);
  // The API answers a former id with the workflow that it was renamed to: its address is the one to keep.
  const held = value?.items[0]?.entity_id;
  useEffect(() => {
    if (held !== undefined && held !== id) go(entityPath(kind, held, variant), { replace: true });
  }, [kind, held, id, variant]);
  const all = value?.items ?? [];
  const variants = variant === null && all.some((one) => one.variant !== null) ? all : [];
  const found = variants.length > 0 ? undefined : all.find((one) => one.variant === variant);
  const isKnown = found !== undefined || variants.length > 0;
  const one = { kind, id, variant, seriesWindow };
  return (
    <PageFrame
      title={nameOf({ entity_id: id, entity_name: all[0]?.entity_name ?? id, variant })}
      note={`${kind === "workflow" ? "Workflow" : "Entity"} ${id}${variant === null ? "" : `, variant ${plainText(variant)}`}`}
      aside={
        <div class="head-marks">
          {found !== undefined && <BaselineStateChip state={found.state} />}
          {variant !== null && (
            <Link class="button small" href={entityPath(kind, id)}>
              All variants
            </Link>
          )}
          {isKnown && canAct && (
            <button type="button" class="button small" onClick={() => setRelearning(true)}>
              {variants.length > 0 ? "Reset baselines" : "Reset baseline"}
            </button>
          )}
          <Link class="button small" href={path}>
            All {title.toLowerCase()}
          </Link>
        </div>
      }
    >
      {error !== null && (value === null ? <ErrorNotice error={error} reload={reload} /> : <StaleBanner error={error} at={at} reload={reload} />)}
      {value !== null && !isKnown && (
        <Notice title="No baseline yet">
          <p>
            This {variant !== null ? "variant" : kind === "workflow" ? "workflow" : "entity"} has no baseline. It gets one with its first
            event.
          </p>
        </Notice>
      )}
      {variants.length > 0 && (
        <section class="card found">
          <div class="section-head inset">
            <h2>Variants</h2>
          </div>
          <Table label="Variants" items={variants} columns={VARIANT_COLUMNS} id={({ key }) => key} />
        </section>
      )}
      {kind === "workflow" && (found !== undefined || (value === null && error === null)) && <Baselines of={found ?? null} />}
      {kind === "workflow" && <RunningNow workflow={id} variant={variant} />}
      {kind === "workflow" && <WorkflowTimes workflow={id} variant={variant} />}
      <Readings {...one} />
      {kind === "workflow" && variants.length === 0 && <Failures {...one} />}
      <Anomalies {...one} />
      {kind === "workflow" && <LastRuns {...one} />}
      {relearning && <RelearnDialog entity={stateKey(kind, id, variant)} variants={variants.length} onClose={() => setRelearning(false)} />}
    </PageFrame>
  );
}

type Named = Baseline["baselines"][string];

/** `of` is null while loading. */
function Baselines({ of }: { of: Baseline | null }) {
  const { execution_time: time, execution_time_30_days: month, failure_rate: failing, success_rate: good } = of?.baselines ?? {};
  const shown = (words: string) => (of === null ? <span class="skeleton figure-skeleton" /> : words);
  const over = (count: number | undefined, word: string) => (of === null ? "\u00a0" : `over ${(count ?? 0).toLocaleString("en-GB")} ${word} in 30 days`);
  // Of no run yet, as of a workflow that EXPECT_RULES names and that has never run, there is no number.
  const around = (known: Named | undefined, unit: string) => shown(known?.value == null || known.window_size === 0 ? "–" : quantity(known.value, unit));
  return (
    <dl class="numbers">
      <Figure name="Execution time" value={around(time, "s")} note="what the next run is compared with" strong />
      <Figure name="Spread" value={shown(time?.std_dev == null || time.window_size === 0 ? "–" : `± ${duration(time.std_dev)}`)} note="one standard deviation" />
      <Figure name="30-day mean" value={around(month ?? time, "s")} note={over((month ?? time)?.window_size, "timed runs")} />
      <Figure name="Failure rate" value={around(failing, "ratio")} note={over(failing?.window_size, "runs")} />
      <Figure name="Success rate" value={around(good, "ratio")} note={over(good?.window_size, "runs")} />
    </dl>
  );
}

interface PartProps {
  kind: Kind;
  id: string;
  variant: string | null;
  seriesWindow: SeriesWindow;
}

function Readings({ kind, id, variant, seriesWindow }: PartProps) {
  return (
    <Section
      title={kind === "workflow" ? "Execution time" : "Score"}
      wide
      aside={
        <nav class="segments small fit" aria-label="Number of readings">
          {LENGTHS.map((readings) => (
            <Link key={readings} href={seriesWindowPath(entityPath(kind, id, variant), { ...seriesWindow, readings })} aria-current={readings === seriesWindow.readings ? "true" : undefined}>
              {readings.toLocaleString("en-GB")}
            </Link>
          ))}
        </nav>
      }
    >
      <SeriesChart
        entity={stateKey(kind, id, variant)}
        {...seriesWindow}
        below={(points) => <PageTurn points={points} kind={kind} id={id} variant={variant} seriesWindow={seriesWindow} />}
      />
    </Section>
  );
}

/** The range of the chart, with links to earlier and to the newest readings. */
function PageTurn({ points, kind, id, variant, seriesWindow }: PartProps & { points: readonly SeriesPoint[] }) {
  const path = entityPath(kind, id, variant);
  const [first, last] = [points[0], points[points.length - 1]];
  const earlier = before(seriesWindow, points);
  return (
    <div class="turn">
      {earlier !== null && (
        <Link class="button small" href={seriesWindowPath(path, earlier)}>
          <Icon name="back" />
          Earlier
        </Link>
      )}
      {seriesWindow.until !== undefined && (
        <Link class="button small" href={seriesWindowPath(path, { ...seriesWindow, until: undefined })}>
          Newest
          <Icon name="next" />
        </Link>
      )}
      {first !== undefined && last !== undefined && (
        <span class="quiet">
          {points.length.toLocaleString("en-GB")} {points.length === 1 ? "reading" : "readings"}, {date(first.t)} to {date(last.t)}
          {earlier === null && (seriesWindow.until === undefined ? " (all stored data)" : " (start of stored data)")}
        </span>
      )}
    </div>
  );
}

function useRuns(id: string, variant: string | null): QueryResult<ExecutionList> {
  const query = useMemo(() => new URLSearchParams({ workflow: id, limit: "40", ...(variant === null ? {} : { variant }) }), [id, variant]);
  return useQuery<ExecutionList>(EXECUTIONS, query, POLL_MS);
}

function Failures({ id, variant, seriesWindow }: PartProps) {
  const { value, error } = useRuns(id, variant);
  return (
    <Section title="Failure rate of the last 10 runs" wide>
      {value !== null ? <RunBars runs={value.items} /> : error === null && <div class="skeleton outcomes-skeleton" />}
      <SeriesChart
        entity={stateKey("workflow", id, variant)}
        of="failures"
        {...seriesWindow}
        below={(points) => <PageTurn points={points} kind="workflow" id={id} variant={variant} seriesWindow={seriesWindow} />}
      />
    </Section>
  );
}

function Anomalies({ kind, id, variant }: PartProps) {
  const entity = stateKey(kind, id, variant);
  const { value, error, reload } = useQuery<AnomalyPage>(ANOMALIES, useMemo(() => new URLSearchParams({ entity, limit: "10" }), [entity]), POLL_MS);
  if (value === null) return error === null ? <RowSkeletons rows={2} /> : <ErrorNotice error={error} reload={reload} />;
  return (
    <section class="card found">
      <div class="section-head inset">
        <h2>Anomalies</h2>
        {value.next !== null && <Link href={`/anomalies?${new URLSearchParams({ range: "all", entity }).toString()}`}>All</Link>}
      </div>
      {value.items.length === 0 ? <p class="quiet inset">None yet.</p> : <AnomalyTable items={value.items} ofOne ofOneVariant={variant !== null} />}
    </section>
  );
}

function LastRuns({ id, variant }: PartProps) {
  const { value, error, reload } = useRuns(id, variant);
  if (value === null) return error === null ? <RowSkeletons rows={4} /> : <ErrorNotice error={error} reload={reload} />;
  return (
    <section class="card found">
      <div class="section-head inset">
        <h2>Last runs</h2>
      </div>
      {value.items.length === 0 ? (
        <p class="quiet inset">None stored.</p>
      ) : (
        <Table label="Last runs" items={value.items} columns={variant === null ? RUN_COLUMNS : RUN_COLUMNS_OF_VARIANT} id={(run) => `${run.execution_id} ${run.attempt ?? 1}`} />
      )}
    </section>
  );
}

function Run({ run: { execution_id: id, attempt, url, excerpt } }: { run: Execution }) {
  return (
    <>
      <code>{url == null ? id : <OutsideLink href={url}>{id}</OutsideLink>}</code>
      {attempt != null && attempt > 1 && <span class="quiet"> attempt {attempt}</span>}
      {excerpt != null && (
        <details>
          <summary>Last lines of the output</summary>
          <pre class="payload" tabIndex={0}>
            {excerpt}
          </pre>
        </details>
      )}
    </>
  );
}

function Took({ run }: { run: Execution }) {
  const wait = waited(run);
  return (
    <>
      {run.duration_s == null || run.duration_s === 0 ? "not recorded" : duration(run.duration_s)}
      {wait !== "" && <span class="quiet"> after {wait} of waiting</span>}
    </>
  );
}

const RUN_FACTS: Column<Execution>[] = [
  { name: "Status", show: ({ status }) => <StatusChip status={status} /> },
  { name: "Duration", right: true, show: (run) => <Took run={run} /> },
  { name: "Finished", right: true, show: ({ finished_at: at }) => <RelativeTime at={at} /> },
];
const RUN_COLUMNS_OF_VARIANT: Column<Execution>[] = [{ name: "Execution", show: (run) => <Run run={run} /> }, ...RUN_FACTS];
const RUN_COLUMNS: Column<Execution>[] = [
  {
    name: "Execution",
    show: (run) => (
      <>
        <Run run={run} />
        <VariantChip variant={run.variant} />
      </>
    ),
  },
  ...RUN_FACTS,
];
