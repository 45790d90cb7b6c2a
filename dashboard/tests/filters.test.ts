import { describe, expect, it } from "vitest";
import { addressOf, anyOf, isNarrowed, questionOf, readFilters, type Filters } from "../src/filters";

const read = (text: string): Filters => readFilters(new URLSearchParams(text));

describe("the address holds every filter", () => {
  it.each([
    "/anomalies",
    "/anomalies?range=24h",
    "/anomalies?range=30d&type=SpikeInFailures&severity=critical&state=opened&entity=a%2Fb&q=lido&run=r1",
    "/anomalies?run=r1",
    "/anomalies?q=%3Cimg+src%3Dx%3E",
  ])("%s stays as it is", (address) => {
    expect(addressOf(read(address.split("?")[1] ?? ""))).toBe(address);
  });
});

it("ignores words it does not know", () => {
  expect(read("range=9y&type=toString&severity=bad&state=&other=1")).toEqual(anyOf("7d"));
});

it("shows a score run whenever it was, unless a range is asked for", () => {
  expect(read("run=r1").range).toBe("all");
  expect(read("run=r1&range=24h").range).toBe("24h");
});

it("asks the server for what is chosen alone", () => {
  expect(questionOf(read("severity=critical&q=x")).toString()).toBe("range=7d&severity=critical&q=x");
  expect(questionOf(read("run=r1")).toString()).toBe("run=r1");
  expect(questionOf(read("severity=info"), "24h").toString()).toBe("range=24h&severity=info");
});

it("knows a narrowed list from a whole one", () => {
  expect(isNarrowed(read("range=24h"))).toBe(false);
  expect(isNarrowed(read("q=x"))).toBe(true);
});
