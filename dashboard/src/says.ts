/** A line that the page says about what was just done; it goes away by itself. */

export interface Said {
  id: number;
  text: string;
  bad: boolean;
}

const STAYS_MS = 6_000;
let all: Said[] = [];
let next = 1;
let listener: (said: Said[]) => void = () => undefined;

export function say(text: string, bad = false): void {
  const said = { id: next++, text, bad };
  all = [...all.slice(-2), said];
  listener(all);
  setTimeout(() => unsay(said.id), bad ? 2 * STAYS_MS : STAYS_MS);
}

export function unsay(id: number): void {
  all = all.filter((one) => one.id !== id);
  listener(all);
}

export function onSaid(heard: (said: Said[]) => void): void {
  listener = heard;
}
