/** Closes a popup on a click outside, on Escape (focus returns to the button) and on navigation. */

import { useEffect } from "preact/hooks";
import { useRoute } from "./route";

export function useDismiss(
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
