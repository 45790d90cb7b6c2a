import { describe, expect, it } from "vitest";
import { elapsed, waited } from "../src/running-time";

const run = (elapsed_s: number, usual_s: number | null, limit_s: number | null) => ({ elapsed_s, usual_s, limit_s });

describe("elapsed", () => {
  it("goes on from what the server has given, by the browser's clock alone", () => {
    const { seconds, words, bar } = elapsed(run(60, 600, null), 5_000, 65_000);
    expect(seconds).toBe(120);
    expect(words).toBe("2 m of usually 10 m");
    expect(bar).toEqual({ now: 120 / 750, usual: 600 / 750, limit: null });
  });
  it("never runs backwards where the clock is set back", () => {
    expect(elapsed(run(60, null, null), 65_000, 5_000)).toEqual({ seconds: 60, words: "1 m", bar: null, isLong: false });
  });
  it("is long beyond its limit, or twice the usual time", () => {
    expect(elapsed(run(60, null, 59), 0, 0)).toMatchObject({ words: "1 m, limit 59 s", isLong: true });
    expect(elapsed(run(60, 30, null), 0, 0).isLong).toBe(false);
    expect(elapsed(run(61, 30, 90), 0, 0)).toMatchObject({ isLong: true });
  });
  it("has a bar whose end is beyond the usual time and the limit, or the time itself", () => {
    expect(elapsed(run(10, 40, 80), 0, 0).bar).toEqual({ now: 0.1, usual: 0.4, limit: 0.8 });
    expect(elapsed(run(400, 40, 80), 0, 0).bar).toEqual({ now: 1, usual: 0.1, limit: 0.2 });
  });
  it("has no bar of nothing", () => {
    expect(elapsed(run(60, 0, null), 0, 0)).toEqual({ seconds: 60, words: "1 m", bar: null, isLong: false });
  });
});

describe("waited", () => {
  it("is from the queue to the start", () => {
    expect(waited({ queued_at: "2026-01-22T00:00:00Z", started_at: "2026-01-22T00:01:30Z" })).toBe("1 m 30 s");
  });
  it("is nothing where it is not known, is nothing, or lies after the start", () => {
    for (const queued_at of [null, undefined, "2026-01-22T00:01:30Z", "2026-01-22T00:01:29.5Z", "2026-01-22T00:02:00Z"])
      expect(waited({ queued_at, started_at: "2026-01-22T00:01:30Z" })).toBe("");
  });
});
