import { useEffect, useRef, useState } from "preact/hooks";
import { useHotkeys } from "../hotkeys";
import { Icon, VisuallyHidden } from "./badges";

const TYPING_PAUSE_MS = 250;

/** Searches when typing pauses. The hotkey / focuses it, Escape leaves it. */
export function SearchBox({ label, text, onSearch }: { label: string; text: string; onSearch: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const timer = useRef(0);
  const field = useRef<HTMLInputElement>(null);
  // What is searched joins the filters as they are when the pause is over, not as they were when it began.
  const latest = useRef(onSearch);
  latest.current = onSearch;
  useEffect(() => setTyped(text), [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useHotkeys({ "/": () => field.current?.focus() });
  const search = (next: string) => {
    setTyped(next);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => latest.current(next.trim()), TYPING_PAUSE_MS);
  };
  return (
    <label class="search">
      <Icon name="search" />
      <VisuallyHidden>{label}</VisuallyHidden>
      <input
        ref={field}
        type="search"
        placeholder={label}
        value={typed}
        maxLength={256}
        onInput={(event) => search(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}
