/**
 * Text from events as it is shown: nothing in it turns the writing direction or is there unseen. Ids, keys and labels
 * stay what they are, since the API is asked by them.
 */

const BREAKS = /[\u0085\u2028\u2029]+/gu;
/** Control and format characters, except line breaks and the joiners that emoji and several scripts need. */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}]/gu;
const SHOWN = new Set(["entity_name", "workflow_name", "description", "title", "body", "message", "reason", "error", "detail", "remark", "unit"]);
const SHOWN_LISTS = new Set(["investigation_steps", "sentences", "decisions", "gates"]);

export function plainText(text: string): string {
  return text.replace(BREAKS, " ").replace(UNSEEN, "");
}

/** JSON of the API, with what is shown as plain text. */
export function parseJson(json: string): unknown {
  return JSON.parse(json, (key, value: unknown) => {
    if (typeof value === "string") return SHOWN.has(key) ? plainText(value) : value;
    if (SHOWN_LISTS.has(key) && Array.isArray(value)) return value.map((one: unknown) => (typeof one === "string" ? plainText(one) : one));
    return value;
  });
}

/** An id in ASCII, so that two that look the same can be told from each other. */
export function spelled(id: string): string {
  return JSON.stringify(id).replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
