/** The layout of every page: heading, and loading, error and empty states in place of content. */

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Pagination } from "../pagination";
import { ErrorNotice, StaleBanner } from "./notices";
import { VisuallyHidden } from "./badges";

export function PageFrame({ title, note, aside, children }: { title: string; note?: string | undefined; aside?: ComponentChildren; children: ComponentChildren }) {
  useTitle(title);
  return (
    <main id="main" class="page">
      <div class="page-head">
        <div>
          <h1 tabIndex={-1}>{title}</h1>
          {note !== undefined && <p class="quiet">{note}</p>}
        </div>
        {aside}
      </div>
      {children}
    </main>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · stream-detector`;
  }, [title]);
}

/** The items as `show` renders them; else skeletons, the error, or `empty`. An error keeps the items already loaded. */
export function PagedList<T>({ pages, empty, show, skeleton = <RowSkeletons /> }: {
  pages: Pagination<T>;
  empty: ComponentChildren;
  show: (items: T[]) => ComponentChildren;
  skeleton?: ComponentChildren;
}) {
  const { items, error, at, reload, more, busy, loadMore } = pages;
  if (items === null) return <>{error === null ? skeleton : <ErrorNotice error={error} reload={reload} />}</>;
  return (
    <>
      {error !== null && <StaleBanner error={error} at={at} reload={reload} />}
      {items.length === 0 ? empty : (
        <section class="card found" aria-label="List">
          {show(items)}
          {more && (
            <button type="button" class="button more" disabled={busy} onClick={loadMore}>
              {busy ? "Loading…" : "Show more"}
            </button>
          )}
        </section>
      )}
    </>
  );
}

export function RowSkeletons({ rows = 8 }: { rows?: number }) {
  return (
    <div class="list-skeletons" role="status">
      <VisuallyHidden>Loading</VisuallyHidden>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} class="skeleton-row">
          <span class="skeleton" />
          <span class="skeleton" />
          <span class="skeleton" />
        </div>
      ))}
    </div>
  );
}

export function Section({ title, wide = false, aside, children }: { title: string; wide?: boolean; aside?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class={wide ? "card section wide" : "card section"}>
      <div class="section-head">
        <h2>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

export function Figure({ name, value, note, strong = false }: { name: string; value: ComponentChildren; note: string; strong?: boolean }) {
  return (
    <div class={strong ? "number strong" : "number"}>
      <dt>{name}</dt>
      <dd>
        <span class="number-value">{value}</span>
        <span class="number-note">{note}</span>
      </dd>
    </div>
  );
}
