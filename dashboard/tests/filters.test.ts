import { describe, expect, it, test } from "vitest";
import { listPath, defaultFilters, matchesFilters, isNarrowed, apiQuery, readFilters, toggled, type Filters } from "../src/filters";
import type { Anomaly } from "../src/api";

const read = (text: string): Filters => readFilters(new URLSearchParams(text));

describe("the address holds every filter", () => {
  it.each([
    "/anomalies",
    "/anomalies?range=24h",
    "/anomalies?range=1h",
    "/anomalies?range=30d&type=SpikeInFailures&severity=critical&state=opened&entity=a%2Fb&q=lido&run=r1",
    "/anomalies?severity=critical%2Cwarning&open=true&acknowledged=false",
    "/anomalies?open=true&acknowledged=true",
    "/anomalies?open=false",
    "/anomalies?run=r1",
    "/anomalies?variant=child%3Aa%2Cb&entity=workflow%2Fpull%2520request%3Aapp",
    "/anomalies?q=%3Cimg+src%3Dx%3E",
  ])("%s stays as it is", (address) => {
    expect(listPath(read(address.split("?")[1] ?? ""))).toBe(address);
  });
});

it("ignores malformed values and unknown parameters", () => {
  expect(read("range=9y&type=%3Cb%3E&severity=%20&state=&other=1")).toEqual(defaultFilters("7d"));
});

it("X12: keeps a type, severity and state of a later version", () => {
  const address = "/anomalies?type=StuckQueue&severity=critical%2Cfatal&state=paused";
  expect(listPath(read(address.split("?")[1] ?? ""))).toBe(address);
  expect(toggled(["critical", "fatal"], "fatal")).toEqual(["critical"]);
  expect(toggled(["critical"], "fatal")).toEqual(["critical", "fatal"]);
  expect(toggled(["critical", "warning", "fatal"], "info")).toEqual([]);
});

it("shows a score run whenever it was, unless a range is asked for", () => {
  expect(read("run=r1").range).toBe("all");
  expect(read("run=r1&range=24h").range).toBe("24h");
});

it("asks the server for what is chosen alone", () => {
  expect(apiQuery(read("severity=critical&q=x")).toString()).toBe("range=7d&severity=critical&q=x");
  expect(apiQuery(read("run=r1")).toString()).toBe("run=r1");
  expect(apiQuery(read("severity=info"), "24h").toString()).toBe("range=24h&severity=info");
});

it("asks for how incidents stand, and for spans that have no name by their hours", () => {
  expect(apiQuery(read("range=90d&open=true&acknowledged=false")).toString()).toBe("hours=2160&open=true&acknowledged=false");
  expect(apiQuery(read("range=all&open=false")).toString()).toBe("open=false");
});

it("chooses several severities, and all of them is none", () => {
  expect(toggled([], "critical")).toEqual(["critical"]);
  expect(toggled(["warning"], "critical")).toEqual(["critical", "warning"]);
  expect(toggled(["critical", "warning"], "critical")).toEqual(["warning"]);
  expect(toggled(["critical", "warning"], "info")).toEqual([]);
});

it("knows a narrowed list from a whole one", () => {
  expect(isNarrowed(read("range=24h"))).toBe(false);
  expect(isNarrowed(read("q=x"))).toBe(true);
});

test("a span of its own takes the place of the range, and one that is reversed is none", () => {
  const span = "from=2026-01-22T12:00:00Z&to=2026-01-22T13:00:00Z";
  const filters = readFilters(new URLSearchParams(`${span}&range=24h`));
  expect(apiQuery(filters).toString()).toBe(new URLSearchParams(span).toString());
  expect(listPath(filters)).toBe(`/anomalies?${new URLSearchParams(span).toString()}`);
  expect(apiQuery(filters, "30d").get("range")).toBe("30d");
  expect(readFilters(new URLSearchParams("from=2026-01-23&to=2026-01-22")).from).toBe("");
});

test("a live anomaly belongs in the list that the server would show it in", () => {
  const one = { anomaly_type: "SpikeInFailures", severity: "critical", state: "opened", entity_kind: "workflow", entity_id: "nightly", entity_name: "Nightly build", run_id: null, detected_at: "2026-01-22T12:00:00Z" } as Anomaly;
  const now = Date.parse("2026-01-22T12:00:05Z");
  const fits = (query: string) => matchesFilters(one, readFilters(new URLSearchParams(query)), now);
  for (const query of ["", "range=24h", "q=BUILD", "entity=nightly", "entity=workflow:nightly", "severity=critical,info&state=opened", "open=true&acknowledged=false"]) expect(fits(query)).toBe(true);
  for (const query of ["q=weekly", "entity=score:nightly", "severity=info", "type=PatternDeviation", "run=r1", "open=false", "open=true&acknowledged=true"]) expect(fits(query)).toBe(false);
  expect(matchesFilters(one, readFilters(new URLSearchParams("range=24h")), now + 86_400_000)).toBe(false);
});
