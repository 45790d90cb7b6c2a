import { useRef, useState } from "preact/hooks";
import { useDismiss } from "../dismiss";
import { Link } from "./link";
import { Icon } from "./badges";

const PAGES = [
  { href: "/overview", name: "Overview", icon: "overview" },
  { href: "/anomalies", name: "Anomalies", icon: "anomalies" },
  { href: "/workflows", name: "Workflows", icon: "workflows" },
  { href: "/entities", name: "Entities", icon: "entities" },
] as const;
/** In the line where there is room, else with the seldom ones. */
const RUNS = { href: "/runs", name: "Score runs", icon: "runs" } as const;
const SELDOM = [
  { href: "/inbox", name: "Inbox", icon: "bell" },
  { href: "/silences", name: "Silences", icon: "silence" },
  { href: "/settings", name: "Settings", icon: "settings" },
  { href: "/dead-letters", name: "Dead letters", icon: "dead" },
] as const;

/** In the top line; on a narrow screen at the bottom, where the thumb is. */
export function Nav({ path, onHelp }: { path: string; onHelp: () => void }) {
  return (
    <nav class="pages" aria-label="Pages">
      {PAGES.map((page) => (
        <Entry key={page.href} path={path} {...page} />
      ))}
      <Entry path={path} {...RUNS} class="wide-only" />
      <More path={path} onHelp={onHelp} />
    </nav>
  );
}

interface EntryProps {
  path: string;
  href: string;
  name: string;
  icon: (typeof PAGES)[number]["icon"] | (typeof SELDOM)[number]["icon"] | (typeof RUNS)["icon"];
  /** Of the width that has it; every width where absent. */
  class?: "wide-only" | "narrow-only";
}

function Entry({ path, href, name, icon, class: width }: EntryProps) {
  return (
    <Link href={href} class={width ?? ""} aria-current={isIn(path, href) ? "page" : undefined}>
      <Icon name={icon} />
      <span>{name}</span>
    </Link>
  );
}

function isIn(path: string, href: string): boolean {
  return path === href || path.startsWith(`${href}/`);
}

function More({ path, onHelp }: { path: string; onHelp: () => void }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useDismiss(open, setOpen, box, button);
  return (
    <div class="menu" ref={box}>
      <button
        ref={button}
        type="button"
        class={`menu-button${SELDOM.some(({ href }) => isIn(path, href)) ? " current" : ""}${isIn(path, RUNS.href) ? " current-narrow" : ""}`}
        aria-expanded={open}
        aria-controls="more"
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
        <span>More</span>
      </button>
      {open && (
        <div id="more" class="menu-list">
          <Entry path={path} {...RUNS} class="narrow-only" />
          {SELDOM.map((page) => (
            <Entry key={page.href} path={path} {...page} />
          ))}
          <button
            type="button"
            class="menu-item"
            onClick={() => {
              setOpen(false);
              onHelp();
            }}
          >
            <Icon name="keyboard" />
            <span>Keyboard shortcuts</span>
          </button>
        </div>
      )}
    </div>
  );
}
