import { expect, it } from "vitest";
import { ticks } from "../src/swimlane-axis";

const labels = (from: string, bucketS: number, count: number) => ticks(Date.parse(from), bucketS, count).map(({ bucket, label }) => [bucket, label]);

it("marks every four hours of a day, and the day where one begins", () => {
  expect(labels("2026-01-21T15:00:00Z", 3_600, 24)).toEqual([
    [1, "16:00"],
    [5, "20:00"],
    [9, "22 Jan"],
    [13, "04:00"],
    [17, "08:00"],
    [21, "12:00"],
  ]);
});

it("marks every day of a week, and every Monday of a month", () => {
  expect(labels("2026-01-15T18:00:00Z", 21_600, 28).slice(0, 2)).toEqual([
    [1, "16 Jan"],
    [5, "17 Jan"],
  ]);
  expect(labels("2026-01-01T00:00:00Z", 86_400, 30)).toEqual([
    [4, "5 Jan"],
    [11, "12 Jan"],
    [18, "19 Jan"],
    [25, "26 Jan"],
  ]);
});
