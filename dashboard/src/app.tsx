import { useEffect, useRef, useState } from "preact/hooks";
import { isTyping, useHotkeys } from "./hotkeys";
import { onTokenNeeded, reloadAll } from "./query";
import { AnomaliesPage } from "./pages/anomalies";
import { AnomalyPage } from "./pages/anomaly";
import { DeadLettersPage } from "./pages/dead-letters";
import { InboxPage } from "./pages/inbox";
import { EntityPage } from "./pages/entity";
import { OverviewPage } from "./pages/overview";
import { RunPage, RunsPage } from "./pages/runs";
import { SettingsPage } from "./pages/settings";
import { SilencesPage } from "./pages/silences";
import { EntitiesPage } from "./pages/entities";
import { HotkeyHelp } from "./components/dialog";
import { InboxMenu } from "./components/inbox-menu";
import { LiveIndicator } from "./components/live-indicator";
import { Link } from "./components/link";
import { Nav } from "./components/nav";
import { Notice, TokenForm } from "./components/notices";
import { HealthBanner } from "./components/pipeline-health";
import { Toasts } from "./components/toasts";
import { go, useRoute } from "./route";

const GO_TO: Record<string, string> = { o: "/overview", a: "/anomalies", w: "/workflows", e: "/entities", r: "/runs", i: "/inbox" };
const CHORD_MS = 1_000;

export function App() {
  const { path, query } = useRoute();
  const [needsToken, setNeedsToken] = useState(false);
  const [help, setHelp] = useState(false);
  useEffect(() => onTokenNeeded(() => setNeedsToken(true)), []);
  useFocusOnNavigation(path);
  useGoToHotkeys();
  useHotkeys({ "?": () => setHelp(true) });
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <Link class="brand" href="/overview">
          <img src="/favicon.svg" alt="" width="24" height="24" />
          <span>stream-detector</span>
        </Link>
        <Nav path={path} onHelp={() => setHelp(true)} />
        {!needsToken && <LiveIndicator />}
        {!needsToken && <InboxMenu />}
      </header>
      {needsToken ? (
        <main id="main" class="page">
          <TokenForm
            onEntered={() => {
              setNeedsToken(false);
              reloadAll();
            }}
          />
        </main>
      ) : (
        <CurrentPage path={path} query={query} />
      )}
      {!needsToken && <HealthBanner />}
      <Toasts />
      {help && <HotkeyHelp onClose={() => setHelp(false)} />}
    </>
  );
}

/** g, then the first letter of a page. Caught before the pages see it: a alone acknowledges. */
function useGoToHotkeys(): void {
  useEffect(() => {
    let until = 0;
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const address = GO_TO[event.key];
      if (performance.now() < until && address !== undefined) {
        event.preventDefault();
        event.stopPropagation();
        go(address);
      }
      until = event.key === "g" ? performance.now() + CHORD_MS : 0;
    };
    addEventListener("keydown", pressed, { capture: true });
    return () => removeEventListener("keydown", pressed, { capture: true });
  }, []);
}

function CurrentPage({ path, query }: { path: string; query: URLSearchParams }) {
  const [, page = "", id = ""] = /^\/([^/]*)(?:\/([^/]+))?\/?$/.exec(path) ?? [];
  const item = decoded(id);
  if (page === "overview" && id === "") return <OverviewPage query={query} />;
  if (page === "anomalies") return id === "" ? <AnomaliesPage query={query} /> : <AnomalyPage key={id} id={item} />;
  if (page === "workflows") return id === "" ? <EntitiesPage key={page} kind="workflow" query={query} /> : <EntityPage key={path} kind="workflow" id={item} query={query} />;
  if (page === "entities") return id === "" ? <EntitiesPage key={page} kind="score" query={query} /> : <EntityPage key={path} kind="score" id={item} query={query} />;
  if (page === "runs") return id === "" ? <RunsPage /> : <RunPage key={id} id={item} />;
  if (page === "settings" && id === "") return <SettingsPage query={query} />;
  if (page === "dead-letters" && id === "") return <DeadLettersPage />;
  if (page === "inbox" && id === "") return <InboxPage query={query} />;
  if (page === "silences" && id === "") return <SilencesPage query={query} />;
  return (
    <main id="main" class="page">
      <Notice alone title="Page not found">
        <Link class="button" href="/anomalies">
          Anomalies
        </Link>
      </Notice>
    </main>
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** After a turn to another page a screen reader starts at its heading, as after a full load. */
function useFocusOnNavigation(path: string): void {
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [path]);
}
