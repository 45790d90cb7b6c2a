import { useMemo } from "preact/hooks";
import { ANOMALIES, OVERVIEW, RANGES, SEVERITIES, TRENDS, type Anomaly, type AnomalyPage, type Overview, type Range, type Trends } from "../api";
import { addressOf, anyOf } from "../filters";
import { moveFocus, useKeys } from "../keys";
import { useLive } from "../live";
import { useAnswer, useNow } from "../load";
import { Frame, RowBones, Section } from "../parts/frame";
import { anomalyAddress, Link } from "../parts/link";
import { Icon, SeverityShape } from "../parts/marks";
import { Failed, NothingYet, Stale } from "../parts/notices";
import { OverTime } from "../parts/over-time";
import { Severities } from "../parts/severities";
import { Swimlane } from "../parts/swimlane";
import { When } from "../parts/when";
import { total } from "../trends";
import { SEVERITY_NAMES, typeName } from "../words";

const POLL_MS = 15_000;
const HOUR_MS = 3_600_000;
const RANGE_HOURS: Record<Range, number> = { "24h": 24, "7d": 168, "30d": 720 };
const SPAN_NAMES: Record<Range, string> = { "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days" };
const LATEST = 8;
const ONE = new URLSearchParams({ limit: "1" });

export function OverviewPage({ query }: { query: URLSearchParams }) {
  const range = RANGES.find((one) => one === query.get("range")) ?? "7d";
  const asked = useMemo(() => new URLSearchParams({ range, rows: "20" }), [range]);
  const { value, error, at, reload } = useAnswer<Overview>(OVERVIEW, asked, POLL_MS);
  const month = useAnswer<Trends>(TRENDS, useMemo(() => new URLSearchParams({ range: "30d" }), []), POLL_MS).value;
  const chosen = useAnswer<Trends>(TRENDS, useMemo(() => new URLSearchParams({ range }), [range]), POLL_MS).value;
  const now = useNow(60_000);
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
          <nav class="spans" aria-label="Range">
            {RANGES.map((one) => (
              <Span key={one} range={one} counts={value.counts[one] ?? {}} current={one === range} now={now} />
            ))}
          </nav>
          <Section title="Where and when" wide aside={<Open count={value.unacknowledged} />}>
            {value.swimlane.length === 0 ? <p class="quiet">No anomaly opened in this range.</p> : <Swimlane overview={value} />}
          </Section>
          <div class="charts">
            <OverTime trends={month} range={range} now={now} />
            <Severities trends={chosen} filters={anyOf(range)} />
          </div>
          <Latest stored={value.latest} />
        </>
      )}
    </Frame>
  );
}

function Open({ count }: { count: number }) {
  return count === 0 ? (
    <span class="quiet">Everything that is open is acknowledged</span>
  ) : (
    <Link href={addressOf(anyOf("all"))}>
      {count.toLocaleString("en-GB")} open, not acknowledged
    </Link>
  );
}

type Counts = Partial<Record<(typeof SEVERITIES)[number], number>>;

/** One span, and how it compares with the span of the same length before it. */
function Span({ range, counts, current, now }: { range: Range; counts: Counts; current: boolean; now: number }) {
  const hour = Math.floor(now / HOUR_MS) * HOUR_MS;
  const before = useMemo(() => {
    const length = RANGE_HOURS[range] * HOUR_MS;
    return new URLSearchParams({ from: new Date(hour - 2 * length).toISOString(), to: new Date(hour - length).toISOString() });
  }, [range, hour]);
  const earlier = useAnswer<Trends>(TRENDS, before, 300_000).value;
  const sum = SEVERITIES.reduce((all, severity) => all + (counts[severity] ?? 0), 0);
  return (
    <Link class="span card" href={range === "7d" ? "/overview" : `/overview?range=${range}`} aria-current={current ? "true" : undefined}>
      <span class="span-name">{SPAN_NAMES[range]}</span>
      <span class="count">
        {sum.toLocaleString("en-GB")}
        {earlier !== null && <Trend now={sum} before={total(earlier)} />}
      </span>
      <span class="split">
        {SEVERITIES.map((severity) => (
          <span key={severity} title={SEVERITY_NAMES[severity]}>
            <SeverityShape severity={severity} />
            {counts[severity] ?? 0}
            <span class="unseen"> {severity}</span>
          </span>
        ))}
      </span>
    </Link>
  );
}

function Trend({ now, before }: { now: number; before: number }) {
  if (now === before) return <small class="trend">as before</small>;
  return (
    <small class={now > before ? "trend up" : "trend down"} title={`${before.toLocaleString("en-GB")} in the span before`}>
      <Icon name={now > before ? "up" : "down"} />
      {Math.abs(now - before).toLocaleString("en-GB")} {now > before ? "more" : "fewer"}
    </small>
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
        <h2>Opened just now</h2>
        <Link href="/anomalies">All anomalies</Link>
      </div>
      <ol class="latest" aria-live="off">
        {items.map((anomaly) => (
          <li key={anomaly.id} class={ids.has(anomaly.id) ? "arrived" : ""} data-id={anomaly.id}>
            <Link class="message" href={anomalyAddress(anomaly.id)}>
              <SeverityShape severity={anomaly.severity} />
              <span class="message-title">
                <strong>{anomaly.entity_name || anomaly.entity_id}</strong> <span class="quiet">{typeName(anomaly.anomaly_type)}: {anomaly.description}</span>
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

const PARTS = { ok: "good", away: "bad", behind: "bad", unset: "open", unknown: "open" } as const;

/** The pipeline's own health: each part, and when something was last seen and stored. */
function Pipeline({ pipeline }: { pipeline: Overview["pipeline"] }) {
  const parts = [
    ["Kafka", pipeline.broker],
    ["Detector", pipeline.detector],
    ["Database", pipeline.database],
  ] as const;
  return (
    <ul class="pipeline" aria-label="Pipeline">
      {parts.map(([name, state]) => (
        <li key={name} class={`status ${PARTS[state]}`}>
          {name}
          {state !== "ok" && <span> {state}</span>}
          {state === "ok" && <span class="unseen"> ok</span>}
        </li>
      ))}
      <li class="quiet">
        {pipeline.newest_event_at == null ? "no event yet" : <>last event <When at={pipeline.newest_event_at} /></>}
      </li>
    </ul>
  );
}

function Bones() {
  return (
    <>
      <div class="spans">
        {RANGES.map((range) => (
          <span key={range} class="bone span-bone" />
        ))}
      </div>
      <RowBones />
    </>
  );
}
