import { useMemo, useState } from "preact/hooks";
import { useRowActions } from "../row-actions";
import { useAnomalies, type AnomalyList } from "../anomalies";
import { ANOMALIES, EXPORT, FACETS, TRENDS, type AnomalyPage, type Facets, type Range, type Trends } from "../api";
import { listPath, defaultFilters, isNarrowed, apiQuery, readFilters, type Filters, type Span } from "../filters";
import { useQuery, useNow, type QueryResult } from "../query";
import { BulkBar } from "../components/bulk-bar";
import { FilterBar } from "../components/filter-bar";
import { GettingStarted } from "../components/getting-started";
import { PageFrame, RowSkeletons } from "../components/page-frame";
import { Link } from "../components/link";
import { AnomalyTable } from "../components/anomaly-table";
import { Icon } from "../components/badges";
import { ErrorNotice, Notice, StaleBanner } from "../components/notices";
import { TrendChart } from "../components/trend-chart";
import { SeverityChart } from "../components/severity-chart";
import { SilenceDialog } from "../components/silence-dialog";
import { RangeCards } from "../components/range-cards";
import { StatusTabs } from "../components/status-tabs";
import { go } from "../route";
import { iso } from "../time";
import { chartSpan } from "../trends";

const POLL_MS = 15_000;
const ONE = new URLSearchParams({ limit: "1" });

export function AnomaliesPage({ query }: { query: URLSearchParams }) {
  const filters = useMemo(() => readFilters(query), [query]);
  const list = useAnomalies(filters);
  // The list loads first; aggregates over all anomalies follow.
  const ready = list.items !== null;
  const facets = useQuery<Facets>(ready ? FACETS : null, apiQuery(filters), POLL_MS).value;
  // If nothing matches: is anything stored at all? A fresh installation shows the getting-started page.
  const ever = useQuery<AnomalyPage>(list.items?.length === 0 ? ANOMALIES : null, ONE, 3_000).value;

  if (list.items?.length === 0 && ever?.items.length === 0) {
    return (
      <PageFrame title="Anomalies">
        <GettingStarted />
      </PageFrame>
    );
  }
  const failed = list.items === null ? list.error : null;
  if (failed !== null && failed.kind !== "refused") {
    return (
      <PageFrame title="Anomalies">
        <ErrorNotice error={failed} reload={list.reload} />
      </PageFrame>
    );
  }
  return (
    <PageFrame title="Anomalies" aside={<Exports filters={filters} />}>
      {list.error !== null && list.items !== null && <StaleBanner error={list.error} at={list.at} reload={list.reload} />}
      <FilterBar filters={filters} facets={facets} />
      <Summary filters={filters} ready={ready} />
      {failed !== null ? <ErrorNotice error={failed} reload={list.reload} /> : <Results list={list} filters={filters} facets={facets} known={ever !== null} />}
    </PageFrame>
  );
}

/**
 * Counts, trend and severities above the list, small, so that the list starts high on the page. On a narrow screen the
 * charts are collapsed.
 */
function Summary({ filters, ready }: { filters: Filters; ready: boolean }) {
  const now = useNow(60_000);
  const trends: Record<Range, QueryResult<Trends>> = {
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
      <RangeCards filters={filters} trends={trends} />
      <button type="button" class="link-button charts-button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? "Hide charts" : "Show charts"}
      </button>
      <TrendChart trends={charted} span={span} onSpan={(from, to) => go(listPath({ ...filters, from: iso(from), to: iso(to) }))} />
      <SeverityChart trends={chosen} filters={filters} />
    </div>
  );
}

/** Download of the filtered list. */
function Exports({ filters }: { filters: Filters }) {
  const href = (format: string) => {
    const query = apiQuery(filters);
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

function useTrends(ready: boolean, filters: Filters, range: Span | null): QueryResult<Trends> {
  return useQuery<Trends>(ready ? TRENDS : null, apiQuery(filters, range ?? undefined), POLL_MS);
}

interface FoundProps {
  list: AnomalyList;
  filters: Filters;
  facets: Facets | null;
  known: boolean;
}

function Results({ list, filters, facets, known }: FoundProps) {
  const items = list.items ?? [];
  const { count, rowActions, act, silencing, endSilencing, clear, selectAllMatches } = useRowActions(items, list.more, filters);
  return (
    <>
      <StatusTabs filters={filters} facets={facets} />
      {list.items === null || (items.length === 0 && !known) ? (
        <RowSkeletons />
      ) : items.length === 0 ? (
        <Nothing filters={filters} />
      ) : (
        <section class="card found" aria-label="List">
          {list.fresh > 0 && (
            <button type="button" class="fresh" onClick={list.showFresh}>
              {list.fresh} new
            </button>
          )}
          <AnomalyTable items={items} rowActions={rowActions} />
          {list.more && (
            <button type="button" class="button more" disabled={list.loadingMore} onClick={list.loadMore}>
              {list.loadingMore ? "Loading…" : "Show older"}
            </button>
          )}
        </section>
      )}
      {count > 0 && <BulkBar count={count} act={act} clear={clear} selectAllMatches={selectAllMatches} />}
      {silencing !== null && <SilenceDialog incidents={silencing} onClose={endSilencing} />}
    </>
  );
}

/** An empty range and filters without a match have different next steps. */
function Nothing({ filters }: { filters: Filters }) {
  if (filters.incident === "unacknowledged" && !isNarrowed({ ...filters, incident: null })) {
    return (
      <Notice title="Nothing needs attention">
        <p>Every incident in this range is acknowledged or resolved.</p>
        <Link class="button" href={listPath({ ...filters, incident: null })}>
          Show all
        </Link>
      </Notice>
    );
  }
  return isNarrowed(filters) ? (
    <Notice title="No matches for these filters">
      <Link class="button" href={listPath({ ...defaultFilters(filters.range), from: filters.from, to: filters.to })}>
        Clear filters
      </Link>
    </Notice>
  ) : (
    <Notice title="No anomalies in this range">
      <p>Choose a longer range to see earlier anomalies.</p>
      <Link class="button" href={listPath(defaultFilters("all"))}>
        Show all time
      </Link>
    </Notice>
  );
}
