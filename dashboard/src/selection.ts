/** Choosing among rows. Pure. */

/** The ids from one to the other, both included, in the order of the list; the last alone where the first is not there. */
export function idsBetween(ids: readonly string[], one: string | null, other: string): string[] {
  const [a, b] = [one === null ? -1 : ids.indexOf(one), ids.indexOf(other)];
  return a < 0 || b < 0 ? [other] : ids.slice(Math.min(a, b), Math.max(a, b) + 1);
}

/** The items in parts of at most `size`. */
export function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, part) => items.slice(part * size, (part + 1) * size));
}
