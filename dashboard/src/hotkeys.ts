/** Keys that act: never while one types, never with a modifier, and a dialog that is open has them to itself. */

import { useEffect, useRef } from "preact/hooks";

export type Hotkeys = Record<string, (event: KeyboardEvent) => void>;

/** Every key of the page, for its help: key and what it does. */
export const HOTKEY_HELP = [
  ["j k", "Next and previous in a list"],
  ["Enter", "Open"],
  ["x", "Select for an action on many"],
  ["J K X", "Select on the way; X everything in between"],
  ["a", "Acknowledge"],
  ["r", "Resolve"],
  ["s", "Silence"],
  ["/", "Search"],
  ["g then o a w e r i", "Go to Overview, Anomalies, Workflows, Entities, Score runs, Inbox"],
  ["?", "This help"],
  ["Esc", "Close; leave the search; back to the list"],
] as const;

/** Calls the function of a key that is pressed while the component is on the page. */
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

/** Moves the focus by `step` among the rows' links, from the row that has it; the first or last where none has. */
export function moveFocus(step: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>("main [data-id] .row-link, main [data-id] .message")];
  const row = document.activeElement?.closest("[data-id]");
  const at = links.findIndex((link) => link === document.activeElement || (row != null && row.contains(link)));
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
  links[next]?.focus();
  links[next]?.scrollIntoView({ block: "nearest" });
}

/** The row of the list that has the focus: its `data-id`. */
export function focusedId(): string | null {
  return document.activeElement?.closest<HTMLElement>("[data-id]")?.dataset["id"] ?? null;
}
