/** Severity and state badges, and icons. Each has text next to it or an accessible label. */

import { plainText } from "../plain-text";
import type { ComponentChildren } from "preact";
import type { SEVERITIES } from "../generated/registry";
import { endWord, readable, severityClass, type BaselineState } from "../vocabulary";

const SHAPES: Record<(typeof SEVERITIES)[number] | "unknown", string> = {
  critical: "M4.6 0.8h4.8l3.8 3.8v4.8l-3.8 3.8h-4.8l-3.8-3.8v-4.8z",
  warning: "M7 1.2 13.4 12.6H0.6z",
  info: "M7 1.6a5.4 5.4 0 1 0 0 10.8a5.4 5.4 0 1 0 0-10.8z",
  unknown: "M7 0.8 13.2 7 7 13.2 0.8 7z",
};

export function SeverityShape({ severity }: { severity: string }) {
  return (
    <svg class={`shape ${severityClass(severity)}`} viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">
      <path d={own(SHAPES, severity) ?? SHAPES.unknown} />
    </svg>
  );
}

export function SeverityBadge({ severity }: { severity: string }) {
  return (
    <span class={`badge ${severityClass(severity)}`}>
      <SeverityShape severity={severity} />
      {readable(severity)}
    </span>
  );
}

/** Of the end of an incident that is not well again, the reason: it does not look resolved. */
export function StateChip({ state, reason }: { state: string; reason?: string | null | undefined }) {
  const word = endWord(state, reason);
  const look = word === null && state === "resolved" ? "chip state-resolved" : "chip";
  return <span class={look}>{word ?? readable(state)}</span>;
}

/** Which variant of a workflow it is; nothing without one. */
export function VariantChip({ variant }: { variant: string | null | undefined }) {
  return variant == null ? null : <span class="variant-chip">{plainText(variant)}</span>;
}

/** The state of a workflow or entity; each has its own shape. */
export function BaselineStateChip({ state }: { state: string }) {
  return (
    <span class={`level ${state}`}>
      <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
        <path d={own(BASELINE_STATE_SHAPES, state) ?? UNKNOWN_STATE_SHAPE} />
      </svg>
      {readable(state)}
    </span>
  );
}

const BASELINE_STATE_SHAPES: Record<BaselineState, string> = {
  anomalous: "M6 1 11.4 10.6H0.6z",
  normal: "M2 6.4 5 9.2 10 3.2",
  learning: "M6 2a4 4 0 1 0 4 4",
};
const UNKNOWN_STATE_SHAPE = "M6 2 10 6 6 10 2 6z";

/** The entry of the table itself: a name such as "toString" has none. */
function own(table: Record<string, string>, key: string): string | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

const BAD = ["failure", "error", "timeout", "failed", "timed_out"];
const GOOD = ["success", "completed"];

/** How an execution or a score run ended. */
export function StatusChip({ status }: { status: string }) {
  const kind = BAD.includes(status) ? "bad" : GOOD.includes(status) ? "good" : "open";
  return <span class={`status ${kind}`}>{readable(status)}</span>;
}

const PATHS = {
  overview: "M3 4.5h5M10.5 4.5H15M3 9h2.5M8 9h7M3 13.5h7M12.5 13.5H15",
  workflows: "M3 3.5h4.5v4H3zM10.5 10.5H15v4h-4.5zM5.2 7.5v5h5.3",
  entities: "M9 2.8 15 6v6l-6 3.2L3 12V6zM3 6l6 3.2L15 6M9 9.2v6",
  runs: "M3.5 14.5v-4M7.2 14.5v-8M10.9 14.5v-5.5M14.5 14.5V3.5",
  silence: "M3 7v4h2.5L9 14V4L5.5 7zM12 7l4 4M16 7l-4 4",
  settings: "M3 5.5h7M13 5.5h2M11.5 4v3M3 12.5h2M8 12.5h7M6.5 11v3",
  dead: "M2.5 5h13v9h-13zM2.5 5.5 9 10l6.5-4.5",
  more: "M4 9h.01M9 9h.01M14 9h.01",
  keyboard: "M2.5 5h13v8.5h-13zM5 8h.01M8 8h.01M11 8h.01M13.5 8h.01M6 11h6",
  flag: "M4 15.5V3h9l-2 3.2 2 3.3H4",
  clock: "M9 3a6 6 0 1 0 0 12a6 6 0 1 0 0-12zM9 6v3.2l2.2 1.6",
  download: "M9 3v8M5.5 8 9 11.5 12.5 8M3.5 14.5h11",
  refresh: "M14.5 7A6 6 0 1 0 15 10.5M14.8 3.5V7h-3.5",
  comment: "M3 4h12v8H8l-3 2.8V12H3z",
  anomalies: "M2 10.5h3l2-6 3 9 2.2-5h3.8",
  bell: "M9 2.5a4.5 4.5 0 0 0-4.5 4.5c0 4-1.7 5.2-1.7 5.2h12.4s-1.7-1.2-1.7-5.2a4.5 4.5 0 0 0-4.5-4.5zM7.5 15a1.6 1.6 0 0 0 3 0",
  search: "M8 3a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM11.8 11.8 15.5 15.5",
  close: "M5 5l8 8M13 5l-8 8",
  back: "M11 4 6 9l5 5",
  next: "M7 4l5 5-5 5",
  out: "M7 4H4v10h10v-3M10 4h4v4M14 4 8.5 9.5",
  copy: "M6.5 6.5h8v8h-8zM11.5 6.5v-3h-8v8h3",
  check: "M4 9.5 7.5 13 14 5.5",
  up: "M9 14V4M5 8l4-4 4 4",
  down: "M9 4v10M5 10l4 4 4-4",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 18 18" width="18" height="18" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Words for a screen reader alone. */
export function VisuallyHidden({ children }: { children: ComponentChildren }) {
  return <span class="visually-hidden">{children}</span>;
}
