/**
 * Text from events as it is shown: nothing in it turns the writing direction or is there unseen. Ids, keys and labels
 * stay what they are, since the API is asked by them.
 */

const BREAKS = /[\u0085\u2028\u2029]+/gu;
/** Control and format characters, except line breaks and the joiners that emoji and several scripts need. */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}]/gu;
/** A right-to-left name in the API's texts, between isolates of its own (Unicode Standard Annex 9). */
const ISOLATED = /\u2068([^\u2066-\u2069]*)\u2069/gu;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;
const NAMES = new Set(["entity_name", "workflow_name"]);
const SHOWN = new Set(["description", "title", "body", "message", "reason", "error", "detail", "remark", "unit"]);
const SHOWN_LISTS = new Set(["investigation_steps", "sentences", "decisions", "gates"]);

function stripped(text: string): string {
  return text.replace(BREAKS, " ").replace(UNSEEN, "");
}

/** Without what is unseen; the isolates around a name stay, where both are there. */
export function plainText(text: string): string {
  let from = 0;
  let shown = "";
  for (const found of text.matchAll(ISOLATED)) {
    shown += stripped(text.slice(from, found.index)) + shownName(found[1] ?? "");
    from = found.index + found[0].length;
  }
  return shown + stripped(text.slice(from));
}

/** A name for a line with other words: one that is written from right to left does not turn what stands next to it. */
export function shownName(name: string): string {
  const shown = stripped(name);
  return RIGHT_TO_LEFT.test(shown) ? `\u2068${shown}\u2069` : shown;
}

/** JSON of the API, with what is shown as plain text. */
export function parseJson(json: string): unknown {
  return JSON.parse(json, (key, value: unknown) => {
    if (typeof value === "string") return NAMES.has(key) ? shownName(value) : SHOWN.has(key) ? plainText(value) : value;
    if (SHOWN_LISTS.has(key) && Array.isArray(value)) return value.map((one: unknown) => (typeof one === "string" ? plainText(one) : one));
    return value;
  });
}

/** An id in ASCII, so that two that look the same can be told from each other. */
export function spelled(id: string): string {
  return JSON.stringify(id).replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
