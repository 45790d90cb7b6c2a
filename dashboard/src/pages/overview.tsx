import { useMemo } from "preact/hooks";
import { anomalyAddress } from "../addresses";
import { ANOMALIES, OVERVIEW, RANGES, SEVERITIES, TRENDS, type Anomaly, type AnomalyPage, type Overview, type Range, type Trends } from "../api";
import { addressOf, anyOf, SPANS } from "../filters";
import { moveFocus, useKeys } from "../keys";
import { useLive } from "../live";
import { useAnswer, useNow } from "../load";
import { NothingYet } from "../parts/first-start";
import { Frame, RowBones, Section } from "../parts/frame";
import { Link } from "../parts/link";
import { SeverityShape } from "../parts/marks";
import { Failed, Stale } from "../parts/notices";
import { OverTime } from "../parts/over-time";
import { Pipeline } from "../parts/pipeline";
import { Severities } from "../parts/severities";
import { Span } from "../parts/spans";
import { Swimlane } from "../parts/swimlane";
import { When } from "../parts/when";
import { go } from "../route";
import { iso } from "../times";
import { chartSpan, total } from "../trends";
import { saying, typeName } from "../words";

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
  const { value, error, at, reload } = useAnswer<Overview>(OVERVIEW, asked, POLL_MS);
  const month = useAnswer<Trends>(TRENDS, MONTH, POLL_MS).value;
  const chosen = useAnswer<Trends>(TRENDS, useMemo(() => new URLSearchParams({ range }), [range]), POLL_MS).value;
  const minute = Math.floor(useNow(60_000) / 60_000) * 60_000;
  const filters = anyOf(range);
  const span = useMemo(() => chartSpan(anyOf(range), minute), [range, minute]);
  const quiet = value?.latest.length === 0;
  const ever = useAnswer<AnomalyPage>(quiet ? ANOMALIES : null, ONE, 3_000).value;
  useKeys({ j: () => moveFocus(1), k: () => moveFocus(-1) });
  if (value === null) {
    return <Frame title="Overview">{error === null ? <Bones /> : <Failed error={error} reload={reload} />}</Frame>;
  }
  return (
    <Frame title="Overview" aside={<Pipeline pipeline={value.pipeline} />}>
      {error !== null && <Stale error={error} at={at} reload={reload} />}
      {(value.pipeline.reasons ?? []).map((reason) => (
        <div key={reason} class="banner" role="status">
          <span>{reason}</span>
        </div>
      ))}
      {quiet && ever?.items.length === 0 ? (
        <NothingYet />
      ) : (
        <>
          <nav class="card spans wide" aria-label="Range">
            {RANGES.map((one) => (
              <Counted key={one} range={one} counts={value.counts[one] ?? {}} current={one === range} now={minute} />
            ))}
          </nav>
          <Section title="Where and when" wide aside={<Open count={value.unacknowledged} />}>
            {value.swimlane.length === 0 ? (
              <p class="quiet">No anomaly opened in this range.</p>
            ) : (
              <Swimlane overview={value} more={value.entities > value.swimlane.length ? overviewAddress(range, MOST_ROWS) : null} />
            )}
          </Section>
          <div class="charts">
            <OverTime trends={month} span={span} onSpan={(from, to) => go(addressOf({ ...filters, from: iso(from), to: iso(to) }))} />
            <Severities trends={chosen} filters={filters} />
          </div>
          <Latest stored={value.latest} />
        </>
      )}
    </Frame>
  );
}

function overviewAddress(range: Range, rows: string): string {
  const query = new URLSearchParams();
  if (range !== "7d") query.set("range", range);
  if (rows !== USUAL_ROWS) query.set("rows", rows);
  const text = query.toString();
  return text === "" ? "/overview" : `/overview?${text}`;
}

function Open({ count }: { count: number }) {
  return count === 0 ? (
    <span class="quiet">Everything that is open is acknowledged</span>
  ) : (
    <Link href={addressOf({ ...anyOf("all"), incident: "unacknowledged" })}>
      {count.toLocaleString("en-GB")} {count === 1 ? "incident needs" : "incidents need"} attention
    </Link>
  );
}

type Counts = Partial<Record<(typeof SEVERITIES)[number], number>>;

/** One span, and how it compares with the span of the same length before it. */
function Counted({ range, counts, current, now }: { range: Range; counts: Counts; current: boolean; now: number }) {
  const hour = Math.floor(now / HOUR_MS) * HOUR_MS;
  const before = useMemo(() => {
    const length = SPANS[range].hours * HOUR_MS;
    return new URLSearchParams({ from: new Date(hour - 2 * length).toISOString(), to: new Date(hour - length).toISOString() });
  }, [range, hour]);
  const earlier = useAnswer<Trends>(TRENDS, before, 300_000).value;
  return (
    <Span
      range={range}
      href={overviewAddress(range, USUAL_ROWS)}
      current={current}
      sum={SEVERITIES.reduce((all, severity) => all + (counts[severity] ?? 0), 0)}
      counts={counts}
      before={earlier === null ? null : total(earlier)}
    />
  );
}

/** What opened just now. A live one stands there before its row is stored. */
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
        <h2>Opened last</h2>
        <Link href="/anomalies">All anomalies</Link>
      </div>
      <ol class="latest" aria-live="off">
        {items.map((anomaly) => (
          <li key={anomaly.id} class={ids.has(anomaly.id) ? "arrived" : ""} data-id={anomaly.id}>
            <Link class="message" href={anomalyAddress(anomaly.id)}>
              <SeverityShape severity={anomaly.severity} />
              <span class="message-title">
                <strong>{anomaly.entity_name || anomaly.entity_id}</strong>{" "}
                <span class="quiet">
                  {typeName(anomaly.anomaly_type)}: {saying(anomaly)}
                </span>
              </span>
              <span class="message-when">
                <When at={anomaly.detected_at} />
              </span>
            </Link>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Bones() {
  return (
    <>
      <span class="bone spans-bone" />
      <RowBones />
    </>
  );
}
