import { expect, it } from "vitest";
import { linkify } from "../src/linkify";

const known = new Map([
  ["build 20", "https://ci.example.org/20"],
  ["build 2", "https://ci.example.org/2"],
  ["polls-1", "/runs/polls-1"],
]);
const links = (text: string) => linkify(text, known).filter(({ href }) => href !== undefined);

it("links addresses and nothing that only looks like one", () => {
  expect(linkify("See http://a.example/x?y=1 now", known)).toEqual([{ text: "See " }, { text: "http://a.example/x?y=1", href: "http://a.example/x?y=1" }, { text: " now" }]);
  expect(links("javascript:alert(1) data:text/html,x")).toEqual([]);
});

it("links executions and runs that it knows, after the word for them, whole ids alone", () => {
  expect(links("Compare with the last good execution build 20 of 2026-01-22")).toEqual([{ text: "build 20", href: "https://ci.example.org/20" }]);
  expect(links("See whether other entities of run polls-1 moved too")).toEqual([{ text: "polls-1", href: "/runs/polls-1" }]);
  expect(links("execution build 2 and execution build 20").map(({ text }) => text)).toEqual(["build 2", "build 20"]);
  expect(links("execution build 201; run polls-12; it took build 2")).toEqual([]);
});

it("leaves every character in its place", () => {
  const text = "Open execution build 2: https://ci.example.org/2 <b>";
  expect(linkify(text, known).map((part) => part.text).join("")).toBe(text);
});
