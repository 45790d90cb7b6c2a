/** Where we are: the address bar is the only memory. */

import { useEffect, useState } from "preact/hooks";

export interface Route {
  path: string;
  query: URLSearchParams;
}

const listeners = new Set<() => void>();

function here(): Route {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** Goes to an address of this page. The place that is left keeps its scroll position for the way back. */
export function go(address: string, { replace = false } = {}): void {
  if (address === location.pathname + location.search) return;
  if (replace) {
    history.replaceState(history.state, "", address);
  } else {
    keepScroll();
    history.pushState(null, "", address);
  }
  if (location.pathname !== lastPath) scrollTo(0, 0);
  tell();
}

let lastPath = location.pathname;
let listAddress = "/anomalies";

/** The list as it was last looked at, with its filters. */
export function lastList(): string {
  return listAddress;
}

function tell(): void {
  lastPath = location.pathname;
  if (lastPath === "/anomalies") listAddress = lastPath + location.search;
  for (const listener of listeners) listener();
}

function keepScroll(): void {
  history.replaceState({ scroll: scrollY }, "");
}

/** Starts listening to back and forward. Called once. */
export function startRouting(): void {
  history.scrollRestoration = "manual";
  if (location.pathname === "/") history.replaceState(null, "", `/overview${location.search}`);
  tell();
  addEventListener("popstate", () => {
    const state = history.state as { scroll?: number } | null;
    tell();
    // Two frames: the list comes from memory, and is on the page by then.
    requestAnimationFrame(() => requestAnimationFrame(() => scrollTo(0, state?.scroll ?? 0)));
  });
}

export function useRoute(): Route {
  const [route, setRoute] = useState(here);
  useEffect(() => {
    const changed = () => setRoute(here());
    listeners.add(changed);
    return () => void listeners.delete(changed);
  }, []);
  return route;
}

/** Follows a plain click within the page; any other click (new tab, middle button) stays the browser's. */
export function follow(event: MouseEvent, { address = "", replace = false } = {}): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const { pathname, search } = event.currentTarget as HTMLAnchorElement;
  go(address === "" ? pathname + search : address, { replace });
}
