/** The router: the URL holds all state. */

import { useEffect, useState } from "preact/hooks";

export interface Route {
  path: string;
  query: URLSearchParams;
}

const listeners = new Set<() => void>();

function here(): Route {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** Navigates within the page. The history entry that is left keeps its scroll position. */
export function go(address: string, { replace = false } = {}): void {
  if (address === location.pathname + location.search) return;
  if (replace) {
    history.replaceState(history.state, "", address);
  } else {
    keepScroll();
    history.pushState(null, "", address);
  }
  if (location.pathname !== lastPath) scrollTo(0, 0);
  notifyListeners();
}

let lastPath = location.pathname;
let listAddress = "/anomalies";

/** The path of the list as last shown, with its filters. */
export function lastList(): string {
  return listAddress;
}

function notifyListeners(): void {
  lastPath = location.pathname;
  if (lastPath === "/anomalies") listAddress = lastPath + location.search;
  for (const listener of listeners) listener();
}

function keepScroll(): void {
  history.replaceState({ scroll: scrollY }, "");
}

/** Handles the back and forward buttons. Called once. */
export function startRouting(): void {
  history.scrollRestoration = "manual";
  if (location.pathname === "/") history.replaceState(null, "", `/overview${location.search}`);
  notifyListeners();
  addEventListener("popstate", () => {
    const state = history.state as { scroll?: number } | null;
    notifyListeners();
    // Two frames: the list comes from the cache and is rendered by then.
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

/** Handles a plain click within the page; the browser handles all others (new tab, middle button). */
export function follow(event: MouseEvent, { address = "", replace = false } = {}): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const { pathname, search } = event.currentTarget as HTMLAnchorElement;
  go(address === "" ? pathname + search : address, { replace });
}
