/** Hotkeys: ignored while typing, with a modifier key, and outside an open dialog. */

import { useEffect, useRef } from "preact/hooks";

export type Hotkeys = Record<string, (event: KeyboardEvent) => void>;

/** Every hotkey and what it does, for the help dialog. */
export const HOTKEY_HELP = [
  ["j k", "Next / previous row"],
  ["Enter", "Open"],
  ["x", "Select row"],
  ["J K X", "Extend the selection; X selects the range"],
  ["a", "Acknowledge"],
  ["r", "Resolve"],
  ["s", "Silence"],
  ["/", "Search"],
  ["g then o a w e r i", "Go to Overview, Anomalies, Workflows, Entities, Score runs, Inbox"],
  ["?", "Show this help"],
  ["Esc", "Close; leave the search box; back to the list"],
] as const;

/** Binds hotkeys while the component is mounted. */
export function useHotkeys(keys: Hotkeys): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]") !== null) return;
      const act = Object.hasOwn(current.current, event.key) ? current.current[event.key] : undefined;
      if (act === undefined) return;
      event.preventDefault();
      act(event);
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
    && !(target instanceof HTMLInputElement && target.type === "checkbox");
}

/** Moves the focus by `step` among the row links; to the first or last if no row has it. */
export function moveFocus(step: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>("main [data-id] .row-link, main [data-id] .message")];
  const row = document.activeElement?.closest("[data-id]");
  const at = links.findIndex((link) => link === document.activeElement || (row != null && row.contains(link)));
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
  links[next]?.focus();
  links[next]?.scrollIntoView({ block: "nearest" });
}

/** `data-id` of the focused row. */
export function focusedId(): string | null {
  return document.activeElement?.closest<HTMLElement>("[data-id]")?.dataset["id"] ?? null;
}
