/** The paginated list of anomalies, kept while a detail page is open. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ANOMALIES, ApiError, type Anomaly, type AnomalyPage } from "./api";
import { matchesFilters, apiQuery, type Filters } from "./filters";
import { useLive } from "./live";
import { fetchJson, useQuery } from "./query";

const PAGE_SIZE = "50";
const POLL_MS = 15_000;
const EMPTY_POLL_MS = 3_000;
const MAX_PAGE = "500";
const MAX_MATCHES = 5_000;

export interface AnomalyList {
  items: Anomaly[] | null;
  /** Number of anomalies that arrived since; shown on demand, so that rows do not move. */
  fresh: number;
  showFresh: () => void;
  more: boolean;
  loadingMore: boolean;
  loadMore: () => void;
  error: ApiError | null;
  at: number;
  reload: () => void;
}

interface Shown {
  first: AnomalyPage;
  older: Anomaly[];
  next: string | null;
}

const shownBefore = new Map<string, Shown>();
let lastKey = "";

/** Position of an anomaly in the list shown last, with the ids before and after it. */
export function positionInList(id: string): { before: string | null; after: string | null; place: number; of: number } | null {
  const shown = shownBefore.get(lastKey);
  if (shown === undefined) return null;
  const items = itemsOf(shown);
  const place = items.findIndex((one) => one.id === id);
  if (place < 0) return null;
  return { before: items[place - 1]?.id ?? null, after: items[place + 1]?.id ?? null, place: place + 1, of: items.length };
}

/** Every anomaly that matches, the newest 5,000 at most. Throws `ApiError`. */
export async function fetchAllMatches(filters: Filters): Promise<Anomaly[]> {
  const found: Anomaly[] = [];
  let next: string | null = null;
  do {
    const query = apiQuery(filters);
    query.set("limit", MAX_PAGE);
    if (next !== null) query.set("cursor", next);
    const page: AnomalyPage = await fetchJson<AnomalyPage>(ANOMALIES, query, new AbortController().signal);
    found.push(...page.items);
    next = page.next;
  } while (next !== null && found.length < MAX_MATCHES);
  return found;
}

export function useAnomalies(filters: Filters): AnomalyList {
  const key = apiQuery(filters).toString();
  const [, redraw] = useState(0);
  const [isEmpty, setEmpty] = useState(false);
  const [more, setMore] = useState<{ key: string; busy: boolean; error: ApiError | null } | null>(null);
  const query = useMemo(() => {
    const asked = new URLSearchParams(key);
    asked.set("limit", PAGE_SIZE);
    return asked;
  }, [key]);
  const answer = useQuery<AnomalyPage>(ANOMALIES, query, isEmpty ? EMPTY_POLL_MS : POLL_MS);

  let shown = shownBefore.get(key);
  if (answer.value !== null && (shown === undefined || shown.first.items.length === 0)) {
    shown = show(key, answer.value);
  }
  lastKey = key;
  const empty = shown?.first.items.length === 0;
  useEffect(() => setEmpty(empty), [empty]);

  const { recent } = useLive();
  // A live anomaly may arrive before it is stored: it is prepended until the server lists it.
  const latest = useMemo(() => withLive(answer.value, recent.filter((one) => matchesFilters(one, filters, Date.now()))), [answer.value, recent, filters]);
  const showFresh = useCallback(() => {
    if (latest !== null) show(key, latest);
    redraw((n) => n + 1);
  }, [latest, key]);

  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), [key]);
  const loadMore = useCallback(() => {
    const current = shownBefore.get(key);
    if (current?.next == null) return;
    const asked = new URLSearchParams(key);
    asked.set("limit", PAGE_SIZE);
    asked.set("cursor", current.next);
    const control = new AbortController();
    abort.current = control;
    setMore({ key, busy: true, error: null });
    fetchJson<AnomalyPage>(ANOMALIES, asked, control.signal).then(
      (page) => {
        shownBefore.set(key, { ...current, older: [...current.older, ...page.items], next: page.next });
        setMore(null);
      },
      (error: unknown) => {
        if (!control.signal.aborted) setMore({ key, busy: false, error: error instanceof ApiError ? error : null });
      },
    );
  }, [key]);

  const items = useMemo(() => (shown === undefined ? null : withLatest(itemsOf(shown), answer.value)), [shown, answer.value]);
  const failedMore = more?.key === key ? more.error : null;
  return {
    items,
    fresh: countFresh(latest, shown),
    showFresh,
    more: shown?.next != null,
    loadingMore: more?.key === key && more.busy,
    loadMore,
    error: answer.error ?? failedMore,
    at: answer.at,
    reload: answer.reload,
  };
}

function show(key: string, first: AnomalyPage): Shown {
  const shown = { first, older: [], next: first.next };
  shownBefore.delete(key);
  shownBefore.set(key, shown);
  if (shownBefore.size > 20) shownBefore.delete(shownBefore.keys().next().value ?? "");
  return shown;
}

function itemsOf({ first, older }: Shown): Anomaly[] {
  return [...first.items, ...older];
}

/** The rows in place, each updated from the newest response, so that actions of others are visible. */
function withLatest(items: Anomaly[], latest: AnomalyPage | null): Anomaly[] {
  const now = new Map(latest?.items.map((one) => [one.id, one]));
  return items.map((one) => now.get(one.id) ?? one);
}

function withLive(page: AnomalyPage | null, live: Anomaly[]): AnomalyPage | null {
  if (page === null) return null;
  const listed = new Set(page.items.map(({ id }) => id));
  const ahead = live.filter(({ id, detected_at: at }) => !listed.has(id) && at >= (page.items.at(-1)?.detected_at ?? ""));
  return ahead.length === 0 ? page : { ...page, items: [...ahead, ...page.items] };
}

function countFresh(latest: AnomalyPage | null, shown: Shown | undefined): number {
  if (latest === null || shown === undefined || latest === shown.first) return 0;
  const known = new Set(itemsOf(shown).map(({ id }) => id));
  return latest.items.filter(({ id }) => !known.has(id)).length;
}
