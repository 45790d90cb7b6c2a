import { useEffect, useMemo, useState } from "preact/hooks";
import { decide } from "../acts";
import { useAnomalies, type AnomalyList } from "../anomalies";
import { ANOMALIES, EXPORT, INCIDENTS, TRENDS, type ActionKind, type AnomalyPage, type Incident, type Incidents, type Range, type Trends } from "../api";
import { addressOf, anyOf, isNarrowed, questionOf, readFilters, type Filters } from "../filters";
import { focusedId, moveFocus, useKeys } from "../keys";
import { useAnswer, useNow, type Loaded } from "../load";
import { BulkBar } from "../parts/bulk";
import { FilterBar } from "../parts/filter-bar";
import { Frame, RowBones } from "../parts/frame";
import { Link } from "../parts/link";
import { List } from "../parts/list";
import { Icon } from "../parts/marks";
import { Failed, NothingYet, Notice, Stale } from "../parts/notices";
import { OverTime } from "../parts/over-time";
import { Severities } from "../parts/severities";
import { SilenceDialog } from "../parts/silence";
import { Spans } from "../parts/spans";
import { useMayAct } from "../rights";

const POLL_MS = 15_000;
const ONE = new URLSearchParams({ limit: "1" });

export function AnomaliesPage({ query }: { query: URLSearchParams }) {
  const filters = useMemo(() => readFilters(query), [query]);
  const list = useAnomalies(filters);
  const now = useNow(60_000);
  const trends: Record<Range, Loaded<Trends>> = {
    "24h": useTrends(filters, "24h"),
    "7d": useTrends(filters, "7d"),
    "30d": useTrends(filters, "30d"),
  };
  const own = filters.from !== "" || filters.range === "all";
  const other = useAnswer<Trends>(own ? TRENDS : null, questionOf(filters), POLL_MS);
  const chosen = own || filters.range === "all" ? other : trends[filters.range];

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

function useTrends(filters: Filters, range: Range): Loaded<Trends> {
  return useAnswer<Trends>(TRENDS, questionOf(filters, range), POLL_MS);
}

/** What people decided about the incidents of the list, by incident. */
function useDecided(filters: Filters): ReadonlyMap<string, Incident> {
  const query = useMemo(() => {
    const asked = questionOf(filters);
    asked.delete("state"); // of the incident, not of one record
    asked.set("acknowledged", "true");
    asked.set("limit", "500");
    return asked;
  }, [filters]);
  const { value } = useAnswer<Incidents>(INCIDENTS, query, POLL_MS);
  return useMemo(() => new Map(value?.items.map((incident) => [incident.id, incident])), [value]);
}

function Found({ list, filters, known }: { list: AnomalyList; filters: Filters; known: boolean }) {
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const [silencing, setSilencing] = useState<string[] | null>(null);
  const mayAct = useMayAct();
  const decided = useDecided(filters);
  const items = list.items ?? [];
  useEffect(() => setIds(new Set()), [filters]);
  const toggle = (id: string) => {
    const next = new Set(ids);
    if (!next.delete(id)) next.add(id);
    setIds(next);
  };
  /** The chosen ones, else the one that has the focus. */
  const incidents = () => {
    const meant = ids.size > 0 ? ids : new Set([focusedId()]);
    return [...new Set(items.filter(({ id }) => meant.has(id)).map(({ incident_id }) => incident_id))];
  };
  const act = (kind: ActionKind) => {
    const meant = incidents();
    if (!mayAct || meant.length === 0) return;
    if (kind === "silence") {
      setSilencing(meant);
      return;
    }
    void decide({ kind, incident_ids: meant.slice(0, 200) }).then((done) => done && setIds(new Set()));
  };
  useKeys({
    j: () => moveFocus(1),
    k: () => moveFocus(-1),
    x: () => {
      const id = focusedId();
      if (mayAct && id !== null) toggle(id);
    },
    a: () => act("acknowledge"),
    r: () => act("resolve"),
    s: () => act("silence"),
    Escape: () => setIds(new Set()),
  });
  if (list.items === null || (items.length === 0 && !known)) return <RowBones />;
  if (items.length === 0) return <Nothing filters={filters} />;
  const toggleAll = () => setIds(items.every(({ id }) => ids.has(id)) ? new Set() : new Set(items.map(({ id }) => id)));
  return (
    <>
      <section class="card found" aria-label="List">
        {list.fresh > 0 && (
          <button type="button" class="fresh" onClick={list.showFresh}>
            {list.fresh} new
          </button>
        )}
        <List items={items} chosen={mayAct ? { ids, toggle, toggleAll } : undefined} decided={decided} />
        {list.more && (
          <button type="button" class="button more" disabled={list.loadingMore} onClick={list.loadMore}>
            {list.loadingMore ? "Loading…" : "Show older"}
          </button>
        )}
      </section>
      {ids.size > 0 && <BulkBar count={ids.size} act={act} clear={() => setIds(new Set())} />}
      {silencing !== null && (
        <SilenceDialog
          incidents={silencing.slice(0, 200)}
          onClose={(done) => {
            setSilencing(null);
            if (done) setIds(new Set());
          }}
        />
      )}
    </>
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
