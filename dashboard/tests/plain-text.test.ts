import { expect, test } from "vitest";
import { parseJson, plainText, shownName, spelled } from "../src/plain-text";

test("nothing turns the writing direction or is there unseen", () => {
  expect(plainText("Li\u202edo\u2066\u200b\ufeff\u0000\u2028x")).toBe("Lido x");
  expect(plainText("two\nlines")).toBe("two\nlines");
  expect(plainText("\u{1f468}\u200d\u{1f469}")).toBe("\u{1f468}\u200d\u{1f469}");
});

test("a name from right to left turns nothing next to it, in a field and in a sentence", () => {
  const name = "\u05d1\u05e0\u05d9\u05d9\u05d4 2";
  expect(shownName(name)).toBe(`\u2068${name}\u2069`);
  expect(shownName("nightly 2")).toBe("nightly 2");
  expect(parseJson(JSON.stringify({ entity_name: name, title: `Slow: \u2068${name}\u2069, 3 times` }))).toEqual({
    entity_name: `\u2068${name}\u2069`,
    title: `Slow: \u2068${name}\u2069, 3 times`,
  });
  expect(plainText(`\u2068${name}`)).toBe(name);
  expect(plainText(`\u2069\u2068\u202e${name}\u2069\u2069\u2068x\u2069`)).toBe(`\u2068${name}\u2069x`);
});

test("only what is shown is changed, never an id, a key or a label", () => {
  const odd = "a\u202eb";
  const given = { entity_id: odd, entity_name: odd, key: odd, labels: { [odd]: odd, title: "x" }, investigation_steps: [odd], items: [{ id: odd, title: odd }] };
  expect(parseJson(JSON.stringify(given))).toEqual({ ...given, entity_name: "ab", investigation_steps: ["ab"], items: [{ id: odd, title: "ab" }] });
});

test("two ids that look the same are spelled differently", () => {
  expect(spelled("caf\u00e9")).toBe('"caf\\u00e9"');
  expect(spelled("cafe\u0301")).toBe('"cafe\\u0301"');
  expect(spelled("a b")).toBe('"a b"');
});
