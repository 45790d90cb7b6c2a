import { describe, expect, it } from "vitest";
import { entityPath } from "../src/paths";
import { seriesWindowPath } from "../src/series-window";
import { keyOf, nameOf, stateKey } from "../src/state-keys";

describe("X21: a state key", () => {
  it.each([
    ["app", null, "workflow:app"],
    ["a:b", undefined, "workflow:a:b"],
    ["acme/app", "default branch", "workflow/default%20branch:acme/app"],
    ["app", "child:a/b", "workflow/child%3Aa%2Fb:app"],
    ["workflow/x:app", "~._-", "workflow/~._-:workflow/x:app"],
    ["app", "100 % (it's *)!", "workflow/100%20%25%20%28it%27s%20%2A%29%21:app"],
    ["app", "中", "workflow/%E4%B8%AD:app"],
  ])("of %s and variant %s is %s", (id, variant, key) => {
    expect(stateKey("workflow", id, variant)).toBe(key);
    expect(keyOf({ entity_kind: "workflow", entity_id: id, variant: variant ?? null })).toBe(key);
  });
});

it("X21: a name has the variant after it, without what is not seen", () => {
  expect(nameOf({ entity_name: "App", entity_id: "app", variant: "tag\u202e" })).toBe("App (tag)");
  expect(nameOf({ entity_name: "", entity_id: "app", variant: null })).toBe("app");
});

it("X21: a variant has an address of its own, with its stretch of history", () => {
  const path = entityPath("workflow", "a/b", "child:a&b");
  expect(path).toBe("/workflows/a%2Fb?variant=child%3Aa%26b");
  expect(seriesWindowPath(path, { readings: 2_000, until: undefined })).toBe(`${path}&readings=2000`);
});
