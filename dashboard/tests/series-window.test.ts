import { expect, it } from "vitest";
import { before, readSeriesWindow, seriesWindowPath } from "../src/series-window";

const read = (text: string) => readSeriesWindow(new URLSearchParams(text));

it.each(["/workflows/a", "/workflows/a?readings=2000", "/workflows/a?readings=10000&until=2026-01-22T12%3A00%3A00Z"])(
  "the address %s holds the stretch",
  (address) => {
    expect(seriesWindowPath("/workflows/a", read(address.split("?")[1] ?? ""))).toBe(address);
  },
);

it("ignores what no page offers", () => {
  expect(read("readings=7&until=yesterday")).toEqual({ readings: 200, until: undefined });
});

it("goes on where the first reading is, while the server has as many as were asked for", () => {
  const given = Array.from({ length: 200 }, (_, n) => ({ t: new Date(n * 1000).toISOString() }));
  expect(before(read(""), given)).toEqual({ readings: 200, until: "1970-01-01T00:00:00.000Z" });
  expect(before(read(""), given.slice(1))).toBeNull();
  expect(before(read("readings=2000"), given)).toBeNull();
});
