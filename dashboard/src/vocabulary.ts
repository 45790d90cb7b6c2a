/**
 * Display names of anomaly types, severities, states and channels. Known values come from the registries of the Python
 * package (`generated/registry.ts`); a value of a later version is shown as it is, made readable. Pure.
 */

import { ANOMALY_TYPES, CHANNELS, SEVERITIES } from "./generated/registry";

interface TypeInfo {
  title: string;
  description: string;
  isTiming: boolean;
  isFailure: boolean;
  thresholdUnit: "value" | "z" | "z_or_rarity" | "value_or_z";
}

/** The registry entry of a type; a type of a later version gets its own name and neutral facts. */
export function typeInfo(type: string): TypeInfo {
  if (isKey(ANOMALY_TYPES, type)) return ANOMALY_TYPES[type];
  return { title: readable(type), description: "", isTiming: false, isFailure: false, thresholdUnit: "value" };
}

export function typeName(type: string): string {
  return typeInfo(type).title;
}

export const TYPES: readonly string[] = Object.keys(ANOMALY_TYPES);

/** Values in the order of `known`, then those of later versions: from counts of the server or the URL. */
export function withUnknown(known: readonly string[], ...found: (Iterable<string> | undefined)[]): string[] {
  const others = found.flatMap((values) => [...(values ?? [])]).filter((value) => !known.includes(value));
  return [...known, ...[...new Set(others)].sort()];
}

/** Lower is more severe; a severity of a later version ranks above all, as in the API. */
export function severityRank(severity: string): number {
  return (SEVERITIES as readonly string[]).indexOf(severity);
}

/** The class of a severity's colours; all severities of later versions share one. */
export function severityClass(severity: string): string {
  return (SEVERITIES as readonly string[]).includes(severity) ? severity : "unknown";
}

export type BaselineState = "anomalous" | "normal" | "learning";
export const BASELINE_STATES = ["anomalous", "normal", "learning"] as const satisfies BaselineState[];

export function channelName(channel: string): string {
  return isKey(CHANNELS, channel) ? CHANNELS[channel].title : readable(channel);
}

const KIND_NAMES = { run: "Score run", score: "Entity" };

/** What kind of thing an anomaly affects. */
export function kindName(kind: string): string {
  return isKey(KIND_NAMES, kind) ? KIND_NAMES[kind] : readable(kind);
}

/** "timed_out" -> "Timed out", "StuckQueue" -> "Stuck queue", "CPUThrottling" -> "CPU throttling", " " -> "Unknown". */
export function readable(name: string): string {
  const words = name
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .split(/[\s_-]+/)
    .filter((word) => word !== "")
    .map((word) => (/^[A-Z\d]{2,}$/.test(word) ? word : word.toLowerCase()))
    .join(" ");
  return words === "" ? "Unknown" : words.charAt(0).toUpperCase() + words.slice(1);
}

function isKey<T extends object>(table: T, key: string): key is string & keyof T {
  return Object.hasOwn(table, key);
}

const END_WORDS: Record<string, string> = { new_normal: "New normal", superseded: "Superseded" };

/** The word for an end that is no recovery; null for a recovery, or where the reason is not known. */
export function endWord(state: string, reason: string | null | undefined): string | null {
  if (state !== "resolved" || reason == null || reason === "recovered") return null;
  return Object.hasOwn(END_WORDS, reason) ? (END_WORDS[reason] ?? null) : readable(reason);
}
