/** Small signs: severities as shape and colour, states, icons. Every sign has words beside it or as its label. */

import type { ComponentChildren } from "preact";
import type { Severity, State } from "../api";
import { SEVERITY_NAMES, STATE_NAMES } from "../words";

const SHAPES: Record<Severity, string> = {
  critical: "M4.6 0.8h4.8l3.8 3.8v4.8l-3.8 3.8h-4.8l-3.8-3.8v-4.8z",
  warning: "M7 1.2 13.4 12.6H0.6z",
  info: "M7 1.6a5.4 5.4 0 1 0 0 10.8a5.4 5.4 0 1 0 0-10.8z",
};

export function SeverityShape({ severity }: { severity: Severity }) {
  return (
    <svg class={`shape ${severity}`} viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">
      <path d={SHAPES[severity]} />
    </svg>
  );
}

export function SeverityBadge({ severity }: { severity: Severity }) {
  return (
    <span class={`badge ${severity}`}>
      <SeverityShape severity={severity} />
      {SEVERITY_NAMES[severity]}
    </span>
  );
}

export function StateChip({ state }: { state: State }) {
  return <span class={`chip state-${state}`}>{STATE_NAMES[state]}</span>;
}

const PATHS = {
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
export function Unseen({ children }: { children: ComponentChildren }) {
  return <span class="unseen">{children}</span>;
}
