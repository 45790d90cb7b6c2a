import { useMemo } from "preact/hooks";
import { anomalyPath } from "../paths";
import { ANOMALIES, OVERVIEW, RANGES, TRENDS, type Anomaly, type AnomalyPage, type Overview, type Range, type Trends } from "../api";
import { listPath, defaultFilters, SPANS } from "../filters";
import { moveFocus, useHotkeys } from "../hotkeys";
import { useLive } from "../live";
import { useQuery, useNow } from "../query";
import { ExpectedNext } from "../components/expected-runs";
import { GettingStarted } from "../components/getting-started";
import { PageFrame, RowSkeletons, Section } from "../components/page-frame";
import { Link } from "../components/link";
import { SeverityShape } from "../components/badges";
import { ErrorNotice, StaleBanner } from "../components/notices";
import { TrendChart } from "../components/trend-chart";
import { PipelineHealth } from "../components/pipeline-health";
import { SeverityChart } from "../components/severity-chart";
import { Span } from "../components/range-cards";
import { RunningNow } from "../components/running-now";
import { Swimlane } from "../components/swimlane";
import { RelativeTime } from "../components/relative-time";
import { go } from "../route";
import { nameOf } from "../state-keys";
import { iso } from "../time";
import { chartSpan, sumOf, total } from "../trends";
import { shortDescription } from "../format";
import { typeName } from "../vocabulary";

const POLL_MS = 15_000;
const HOUR_MS = 3_600_000;
const LATEST = 8;
const USUAL_ROWS = "15";
const MOST_ROWS = "100";
const ONE = new URLSearchParams({ limit: "1" });
const MONTH = new URLSearchParams({ range: "30d" });

export function OverviewPage({ query }: { query: URLSearchParams }) {
  const range = RANGES.find((one) => one === query.get("range")) ?? "7d";
  const rows = query.get("rows") === MOST_ROWS ? MOST_ROWS : USUAL_ROWS;
  const asked = useMemo(() => new URLSearchParams({ range, rows }), [range, rows]);
  const { value, error, at, reload } = useQuery<Overview>(OVERVIEW, asked, POLL_MS);
  const month = useQuery<Trends>(TRENDS, MONTH, POLL_MS).value;
  const chosen = useQuery<Trends>(TRENDS, useMemo(() => new URLSearchParams({ range }), [range]), POLL_MS).value;
  const minute = Math.floor(useNow(60_000) / 60_000) * 60_000;
  const filters = defaultFilters(range);
  const span = useMemo(() => chartSpan(defaultFilters(range), minute), [range, minute]);
  const quiet = value?.latest.length === 0;
  const ever = useQuery<AnomalyPage>(quiet ? ANOMALIES : null, ONE, 3_000).value;
  useHotkeys({ j: () => moveFocus(1), k: () => moveFocus(-1) });
  if (value === null) {
    return <PageFrame title="Overview" aside={<PipelineHealth />}>{error === null ? <Skeleton /> : <ErrorNotice error={error} reload={reload} />}</PageFrame>;
  }
  return (
    <PageFrame title="Overview" aside={<PipelineHealth />}>
      {error !== null && <StaleBanner error={error} at={at} reload={reload} />}
      {quiet && ever?.items.length === 0 ? (
        <GettingStarted />
      ) : (
        <>
          <nav class="card spans wide" aria-label="Range">
            {RANGES.map((one) => (
              <CountedRange key={one} range={one} counts={value.counts[one] ?? {}} current={one === range} now={minute} />
            ))}
          </nav>
          <RunningNow />
          <ExpectedNext />
          <Section title="Anomalies by entity and time" wide aside={<Open count={value.unacknowledged} />}>
            {value.swimlane.length === 0 ? (
              <p class="quiet">No anomalies opened in this range.</p>
            ) : (
              <Swimlane overview={value} more={value.entities > value.swimlane.length ? overviewPath(range, MOST_ROWS) : null} />
            )}
          </Section>
          <div class="charts">
            <TrendChart trends={month} span={span} onSpan={(from, to) => go(listPath({ ...filters, from: iso(from), to: iso(to) }))} />
            <SeverityChart trends={chosen} filters={filters} />
          </div>
          <Latest stored={value.latest} />
        </>
      )}
    </PageFrame>
  );
}

function overviewPath(range: Range, rows: string): string {
  const query = new URLSearchParams();
  if (range !== "7d") query.set("range", range);
  if (rows !== USUAL_ROWS) query.set("rows", rows);
  const text = query.toString();
  return text === "" ? "/overview" : `/overview?${text}`;
}

function Open({ count }: { count: number }) {
  return count === 0 ? (
    <span class="quiet">All open incidents are acknowledged</span>
  ) : (
    <Link href={listPath({ ...defaultFilters("all"), incident: "unacknowledged" })}>
      {count.toLocaleString("en-GB")} {count === 1 ? "incident needs" : "incidents need"} attention
    </Link>
  );
}

type Counts = Partial<Record<string, number>>;

/** One time range, compared with the preceding one of the same length. */
function CountedRange({ range, counts, current, now }: { range: Range; counts: Counts; current: boolean; now: number }) {
  const hour = Math.floor(now / HOUR_MS) * HOUR_MS;
  const before = useMemo(() => {
    const length = SPANS[range].hours * HOUR_MS;
    return new URLSearchParams({ from: new Date(hour - 2 * length).toISOString(), to: new Date(hour - length).toISOString() });
  }, [range, hour]);
  const earlier = useQuery<Trends>(TRENDS, before, 300_000).value;
  return (
    <Span
      range={range}
      href={overviewPath(range, USUAL_ROWS)}
      current={current}
      sum={sumOf(counts)}
      counts={counts}
      before={earlier === null ? null : total(earlier)}
    />
  );
}

/** The latest opened anomalies, including live ones that are not stored yet. */
function Latest({ stored }: { stored: Anomaly[] }) {
  const { recent } = useLive();
  const live = recent.filter(({ state }) => state === "opened");
  const ids = new Set(live.map(({ id }) => id));
  const items = [...live, ...stored.filter(({ id }) => !ids.has(id))]
    .sort((a, b) => Date.parse(b.detected_at) - Date.parse(a.detected_at))
    .slice(0, LATEST);
  return (
    <section class="card found">
      <div class="section-head inset">
        <h2>Latest anomalies</h2>
        <Link href="/anomalies">All anomalies</Link>
      </div>
      <ol class="latest" aria-live="off">
        {items.map((anomaly) => (
          <li key={anomaly.id} class={ids.has(anomaly.id) ? "arrived" : ""} data-id={anomaly.id}>
            <Link class="message" href={anomalyPath(anomaly.id)}>
              <SeverityShape severity={anomaly.severity} />
              <span class="message-title">
                <strong>{nameOf(anomaly)}</strong>{" "}
                <span class="quiet">
                  {typeName(anomaly.anomaly_type)}: {shortDescription(anomaly)}
                </span>
              </span>
              <span class="message-when">
                <RelativeTime at={anomaly.detected_at} />
              </span>
            </Link>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Skeleton() {
  return (
    <>
      <span class="skeleton spans-skeleton" />
      <RowSkeletons />
    </>
  );
}
