/** Words of an event in which addresses, executions and score runs can be followed. Pure. */

export interface Part {
  text: string;
  /** Absent where it is only text. */
  href?: string;
}

const ADDRESS = /(https?:\/\/[^\s<>"']+)/i;
const NAMED = ["execution", "run"] as const;

/**
 * The text in parts. `known` has the addresses of executions and runs by their ids: an id is one only after the word
 * for it, since ids may be as short as a number.
 */
export function linkify(text: string, known: ReadonlyMap<string, string>): Part[] {
  return text.split(ADDRESS).flatMap((part, index) => (index % 2 === 1 ? [{ text: part, href: part }] : named(part, known)));
}

function named(text: string, known: ReadonlyMap<string, string>): Part[] {
  let first: { at: number; id: string; href: string } | null = null;
  for (const [id, href] of known) {
    for (const word of NAMED) {
      const at = text.indexOf(`${word} ${id}`);
      if (at < 0 || !ends(text, at + word.length + 1 + id.length)) continue;
      const begins = at + word.length + 1;
      if (first === null || begins < first.at || (begins === first.at && id.length > first.id.length)) first = { at: begins, id, href };
    }
  }
  if (first === null) return text === "" ? [] : [{ text }];
  const { at, id, href } = first;
  return [{ text: text.slice(0, at) }, { text: id, href }, ...named(text.slice(at + id.length), known)];
}

/** Whether an id may end there: "12" is not the beginning of "123". */
function ends(text: string, at: number): boolean {
  return !/[\w/-]/.test(text.charAt(at));
}
