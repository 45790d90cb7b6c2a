import { useEffect, useMemo } from "preact/hooks";
import { useAnomalies, type AnomalyList } from "../anomalies";
import { ANOMALIES, TRENDS, type AnomalyPage, type Range, type Trends } from "../api";
import { addressOf, anyOf, isNarrowed, questionOf, readFilters, type Filters } from "../filters";
import { useAnswer, useNow, type Loaded } from "../load";
import { FilterBar } from "../parts/filter-bar";
import { Link } from "../parts/link";
import { List, ListBones } from "../parts/list";
import { Failed, NothingYet, Notice, Stale } from "../parts/notices";
import { OverTime } from "../parts/over-time";
import { Severities } from "../parts/severities";
import { Spans } from "../parts/spans";

const POLL_MS = 15_000;

export function AnomaliesPage({ query }: { query: URLSearchParams }) {
  const filters = useMemo(() => readFilters(query), [query]);
  const list = useAnomalies(filters);
  const now = useNow(60_000);
  const trends: Record<Range, Loaded<Trends>> = {
    "24h": useTrends(filters, "24h"),
    "7d": useTrends(filters, "7d"),
    "30d": useTrends(filters, "30d"),
  };
  const always = useAnswer<Trends>(filters.range === "all" ? TRENDS : null, questionOf(filters, "all"), POLL_MS);
  const chosen = filters.range === "all" ? always : trends[filters.range];
  useEffect(() => {
    document.title = "Anomalies · stream-detector";
  }, []);

  // Whether anything is stored at all, asked only when nothing is found: the first start looks different.
  const ever = useAnswer<AnomalyPage>(list.items?.length === 0 ? ANOMALIES : null, ONE, 3_000).value;

  if (list.items?.length === 0 && ever?.items.length === 0) {
    return (
      <Frame>
        <NothingYet />
      </Frame>
    );
  }
  const failed = list.items === null ? list.error : null;
  if (failed !== null && failed.kind !== "refused") {
    return (
      <Frame>
        <Failed error={failed} reload={list.reload} />
      </Frame>
    );
  }
  return (
    <Frame>
      {list.error !== null && list.items !== null && <Stale error={list.error} at={list.at} reload={list.reload} />}
      <FilterBar filters={filters} />
      <Spans filters={filters} trends={trends} />
      <div class="charts">
        <OverTime trends={trends["30d"].value} range={filters.range} now={now} />
        <Severities trends={chosen.value} filters={filters} />
      </div>
      {failed !== null ? <Failed error={failed} reload={list.reload} /> : <Found list={list} filters={filters} known={ever !== null} />}
    </Frame>
  );
}

function useTrends(filters: Filters, range: Range): Loaded<Trends> {
  return useAnswer<Trends>(TRENDS, questionOf(filters, range), POLL_MS);
}

function Frame({ children }: { children: preact.ComponentChildren }) {
  return (
    <main id="main" class="page">
      <h1 tabIndex={-1}>Anomalies</h1>
      {children}
    </main>
  );
}

function Found({ list, filters, known }: { list: AnomalyList; filters: Filters; known: boolean }) {
  if (list.items === null || (list.items.length === 0 && !known)) return <ListBones />;
  if (list.items.length === 0) return <Nothing filters={filters} />;
  return (
    <section class="card found" aria-label="List">
      {list.fresh > 0 && (
        <button type="button" class="fresh" onClick={list.showFresh}>
          {list.fresh} new
        </button>
      )}
      <List items={list.items} />
      {list.more && (
        <button type="button" class="button more" disabled={list.loadingMore} onClick={list.loadMore}>
          {list.loadingMore ? "Loading…" : "Show older"}
        </button>
      )}
    </section>
  );
}

/** Nothing in this range and nothing with these filters are two different things to do next. */
function Nothing({ filters }: { filters: Filters }) {
  return isNarrowed(filters) ? (
    <Notice title="Nothing matches these filters">
      <Link class="button" href={addressOf(anyOf(filters.range))}>
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

const ONE = new URLSearchParams({ limit: "1" });
