/** Cursor pagination: the first page is polled, further pages are loaded on demand. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";
import { fetchJson, useQuery } from "./query";

interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Pagination<T> {
  items: T[] | null;
  more: boolean;
  busy: boolean;
  loadMore: () => void;
  error: ApiError | null;
  at: number;
  reload: () => void;
}

/** The items of GET `path?query`. Further pages are dropped when the query changes. */
export function usePagination<T>(path: string, query: URLSearchParams, everyMs: number): Pagination<T> {
  const key = `${path}?${query.toString()}`;
  const first = useQuery<Page<T>>(path, query, everyMs);
  const [older, setOlder] = useState<{ key: string; items: T[]; next: string | null } | null>(null);
  const [failed, setFailed] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => {
    setFailed(null);
    setBusy(false);
    return () => abort.current?.abort();
  }, [key]);
  const rest = older?.key === key ? older : null;
  const next = rest === null ? (first.value?.next ?? null) : rest.next;
  const loadMore = () => {
    if (next === null) return;
    const asked = new URLSearchParams(query);
    asked.set("cursor", next);
    const control = new AbortController();
    abort.current = control;
    setBusy(true);
    fetchJson<Page<T>>(path, asked, control.signal).then(
      (page) => {
        setOlder({ key, items: [...(rest?.items ?? []), ...page.items], next: page.next });
        setBusy(false);
      },
      (error: unknown) => {
        if (control.signal.aborted) return;
        setBusy(false);
        setFailed(error instanceof ApiError ? error : new ApiError("failed", String(error)));
      },
    );
  };
  return {
    items: first.value === null ? null : [...first.value.items, ...(rest?.items ?? [])],
    more: next !== null,
    busy,
    loadMore,
    error: first.error ?? failed,
    at: first.at,
    reload: first.reload,
  };
}
