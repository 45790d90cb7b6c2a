import { useEffect, useRef, useState } from "preact/hooks";
import { useRoute } from "../route";
import { Link } from "./link";
import { Icon } from "./marks";

const PAGES = [
  { href: "/overview", name: "Overview", icon: "overview" },
  { href: "/anomalies", name: "Anomalies", icon: "anomalies" },
  { href: "/workflows", name: "Workflows", icon: "workflows" },
  { href: "/entities", name: "Entities", icon: "entities" },
] as const;
const SELDOM = [
  { href: "/runs", name: "Score runs", icon: "runs" },
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
      <Entry path={path} {...SELDOM[0]} wide />
      <More path={path} onHelp={onHelp} />
    </nav>
  );
}

interface EntryProps {
  path: string;
  href: string;
  name: string;
  icon: (typeof PAGES)[number]["icon"] | (typeof SELDOM)[number]["icon"];
  wide?: boolean;
}

function Entry({ path, href, name, icon, wide = false }: EntryProps) {
  return (
    <Link href={href} class={wide ? "wide-only" : ""} aria-current={isIn(path, href) ? "page" : undefined}>
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
  useClosing(open, setOpen, box, button);
  return (
    <div class="menu" ref={box}>
      <button
        ref={button}
        type="button"
        class={SELDOM.some(({ href }) => isIn(path, href)) ? "menu-button current" : "menu-button"}
        aria-expanded={open}
        aria-controls="more"
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
        <span>More</span>
      </button>
      {open && (
        <div id="more" class="menu-list">
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

/** Closes what is open: on a click outside, on Escape (the button gets the focus back), on going elsewhere. */
export function useClosing(
  open: boolean,
  setOpen: (open: boolean) => void,
  box: { current: HTMLElement | null },
  button: { current: HTMLElement | null },
): void {
  const { path, query } = useRoute();
  useEffect(() => setOpen(false), [path, query]);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: MouseEvent) => {
      if (box.current?.contains(event.target as Node) !== true) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener("click", outside);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("click", outside);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);
}
