/** Toasts: short confirmations and errors that disappear after a while. */

export interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const STAYS_MS = 6_000;
let all: Toast[] = [];
let next = 1;
let listener: (toasts: Toast[]) => void = () => undefined;

export function showToast(text: string, bad = false): void {
  const toast = { id: next++, text, bad };
  all = [...all.slice(-2), toast];
  listener(all);
  setTimeout(() => dismissToast(toast.id), bad ? 2 * STAYS_MS : STAYS_MS);
}

export function dismissToast(id: number): void {
  all = all.filter((one) => one.id !== id);
  listener(all);
}

export function onToasts(onChange: (toasts: Toast[]) => void): void {
  listener = onChange;
}
