import { useMemo, useState } from "preact/hooks";
import { useActing } from "../acting";
import { useAnomalies, type AnomalyList } from "../anomalies";
import { ANOMALIES, EXPORT, FACETS, TRENDS, type AnomalyPage, type Facets, type Range, type Trends } from "../api";
import { addressOf, anyOf, isNarrowed, questionOf, readFilters, type Filters, type Span } from "../filters";
import { useAnswer, useNow, type Loaded } from "../load";
import { BulkBar } from "../parts/bulk";
import { FilterBar } from "../parts/filter-bar";
import { NothingYet } from "../parts/first-start";
import { Frame, RowBones } from "../parts/frame";
import { Link } from "../parts/link";
import { List } from "../parts/list";
import { Icon } from "../parts/marks";
import { Failed, Notice, Stale } from "../parts/notices";
import { OverTime } from "../parts/over-time";
import { Severities } from "../parts/severities";
import { SilenceDialog } from "../parts/silence";
import { Spans } from "../parts/spans";
import { Stands } from "../parts/stands";
import { go } from "../route";
import { iso } from "../times";
import { chartSpan } from "../trends";

const POLL_MS = 15_000;
const ONE = new URLSearchParams({ limit: "1" });

export function AnomaliesPage({ query }: { query: URLSearchParams }) {
  const filters = useMemo(() => readFilters(query), [query]);
  const list = useAnomalies(filters);
  // The list is asked for first: what is counted over everything comes after it.
  const ready = list.items !== null;
  const facets = useAnswer<Facets>(ready ? FACETS : null, questionOf(filters), POLL_MS).value;
  // Whether anything is stored at all, asked only when nothing is found: the first start looks different.
  const ever = useAnswer<AnomalyPage>(list.items?.length === 0 ? ANOMALIES : null, ONE, 3_000).value;

  if (list.items?.length === 0 && ever?.items.length === 0) {
    return (
      <Frame title="Anomalies">
        <NothingYet />
      </Frame>
    );
  }
  const failed = list.items === null ? list.error : null;
  if (failed !== null && failed.kind !== "refused") {
    return (
      <Frame title="Anomalies">
        <Failed error={failed} reload={list.reload} />
      </Frame>
    );
  }
  return (
    <Frame title="Anomalies" aside={<Exports filters={filters} />}>
      {list.error !== null && list.items !== null && <Stale error={list.error} at={list.at} reload={list.reload} />}
      <FilterBar filters={filters} facets={facets} />
      <Glance filters={filters} ready={ready} />
      {failed !== null ? <Failed error={failed} reload={list.reload} /> : <Found list={list} filters={filters} facets={facets} known={ever !== null} />}
    </Frame>
  );
}

/**
 * How many there were when, and how severe: above the list, and small, so that the list begins high on the page. On a
 * narrow screen the charts are shown when asked for.
 */
function Glance({ filters, ready }: { filters: Filters; ready: boolean }) {
  const now = useNow(60_000);
  const trends: Record<Range, Loaded<Trends>> = {
    "24h": useTrends(ready, filters, "24h"),
    "7d": useTrends(ready, filters, "7d"),
    "30d": useTrends(ready, filters, "30d"),
  };
  const chosen = useTrends(ready, filters, null).value;
  const minute = Math.floor(now / 60_000) * 60_000;
  const span = useMemo(() => chartSpan(filters, minute), [filters, minute]);
  const charted = useTrends(ready, filters, span.asked).value;
  const [open, setOpen] = useState(false);
  return (
    <div class={open ? "glance open" : "glance"}>
      <Spans filters={filters} trends={trends} />
      <button type="button" class="link-button charts-button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? "Hide the charts" : "Show the charts"}
      </button>
      <OverTime trends={charted} span={span} onSpan={(from, to) => go(addressOf({ ...filters, from: iso(from), to: iso(to) }))} />
      <Severities trends={chosen} filters={filters} />
    </div>
  );
}

/** What is filtered, as a file. */
function Exports({ filters }: { filters: Filters }) {
  const href = (format: string) => {
    const query = questionOf(filters);
    query.set("format", format);
    return `${EXPORT}?${query.toString()}`;
  };
  return (
    <div class="head-marks exports">
      <span class="quiet">Export</span>
      {["csv", "json"].map((format) => (
        <a key={format} class="button small" href={href(format)} download={`anomalies.${format}`}>
          <Icon name="download" />
          {format.toUpperCase()}
        </a>
      ))}
    </div>
  );
}

function useTrends(ready: boolean, filters: Filters, range: Span | null): Loaded<Trends> {
  return useAnswer<Trends>(ready ? TRENDS : null, questionOf(filters, range ?? undefined), POLL_MS);
}

interface FoundProps {
  list: AnomalyList;
  filters: Filters;
  facets: Facets | null;
  known: boolean;
}

function Found({ list, filters, facets, known }: FoundProps) {
  const items = list.items ?? [];
  const { count, acting, act, silencing, endSilencing, clear, widen } = useActing(items, list.more, filters);
  return (
    <>
      <Stands filters={filters} facets={facets} />
      {list.items === null || (items.length === 0 && !known) ? (
        <RowBones />
      ) : items.length === 0 ? (
        <Nothing filters={filters} />
      ) : (
        <section class="card found" aria-label="List">
          {list.fresh > 0 && (
            <button type="button" class="fresh" onClick={list.showFresh}>
              {list.fresh} new
            </button>
          )}
          <List items={items} acting={acting} />
          {list.more && (
            <button type="button" class="button more" disabled={list.loadingMore} onClick={list.loadMore}>
              {list.loadingMore ? "Loading…" : "Show older"}
            </button>
          )}
        </section>
      )}
      {count > 0 && <BulkBar count={count} act={act} clear={clear} widen={widen} />}
      {silencing !== null && <SilenceDialog incidents={silencing} onClose={endSilencing} />}
    </>
  );
}

/** Nothing in this range and nothing with these filters are two different things to do next. */
function Nothing({ filters }: { filters: Filters }) {
  if (filters.incident === "unacknowledged" && !isNarrowed({ ...filters, incident: null })) {
    return (
      <Notice title="Nothing needs attention">
        <p>Every incident of this range is acknowledged or over.</p>
        <Link class="button" href={addressOf({ ...filters, incident: null })}>
          Show them
        </Link>
      </Notice>
    );
  }
  return isNarrowed(filters) ? (
    <Notice title="Nothing matches these filters">
      <Link class="button" href={addressOf({ ...anyOf(filters.range), from: filters.from, to: filters.to })}>
        Clear filters
      </Link>
    </Notice>
  ) : (
    <Notice title="No anomalies in this range">
      <p>All quiet. Earlier ones are further back.</p>
      <Link class="button" href={addressOf(anyOf("all"))}>
        Show all
      </Link>
    </Notice>
  );
}
