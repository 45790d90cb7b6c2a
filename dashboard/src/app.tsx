import { useEffect, useRef, useState } from "preact/hooks";
import { onTokenWanted, reloadAll } from "./load";
import { AnomaliesPage } from "./pages/anomalies";
import { AnomalyPage } from "./pages/anomaly";
import { Inbox } from "./parts/inbox";
import { Link } from "./parts/link";
import { Icon } from "./parts/marks";
import { Notice, TokenWanted } from "./parts/notices";
import { useRoute } from "./route";

const PAGES = [{ href: "/anomalies", name: "Anomalies", icon: "anomalies" }] as const;

export function App() {
  const { path, query } = useRoute();
  const [tokenWanted, setTokenWanted] = useState(false);
  useEffect(() => onTokenWanted(() => setTokenWanted(true)), []);
  useFocusOnTurn(path);
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <Link class="brand" href="/anomalies">
          <img src="/favicon.svg" alt="" width="24" height="24" />
          <span>stream-detector</span>
        </Link>
        <nav class="pages" aria-label="Pages">
          {PAGES.map(({ href, name, icon }) => (
            <Link key={href} href={href} aria-current={path.startsWith(href) ? "page" : undefined}>
              <Icon name={icon} />
              {name}
            </Link>
          ))}
        </nav>
        {!tokenWanted && <Inbox />}
      </header>
      {tokenWanted ? (
        <main id="main" class="page">
          <TokenWanted
            onEntered={() => {
              setTokenWanted(false);
              reloadAll();
            }}
          />
        </main>
      ) : (
        <CurrentPage path={path} query={query} />
      )}
    </>
  );
}

function CurrentPage({ path, query }: { path: string; query: URLSearchParams }) {
  if (path === "/anomalies" || path === "/anomalies/") return <AnomaliesPage query={query} />;
  const id = /^\/anomalies\/([^/]+)$/.exec(path)?.[1];
  if (id !== undefined) return <AnomalyPage key={id} id={decoded(id)} />;
  return (
    <main id="main" class="page">
      <Notice alone title="No such page">
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
function useFocusOnTurn(path: string): void {
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [path]);
}
