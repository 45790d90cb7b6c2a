import { expect, it } from "vitest";
import { cameWords, missedWords } from "../src/expected-words";

it("counts the runs that came", () => {
  expect(cameWords({ came: 1031, expected: 1032 })).toBe("1,031 of 1,032 came");
});

it("names missed runs, and what follows from three of them", () => {
  expect(missedWords({ missed: 1, retired: false })).toBe("the last run");
  expect(missedWords({ missed: 2, retired: false })).toBe("2 runs in a row");
  expect(missedWords({ missed: 3, retired: true })).toBe("3 runs in a row, taken for retired");
});
