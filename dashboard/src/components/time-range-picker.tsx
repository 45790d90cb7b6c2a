import { useRef, useState } from "preact/hooks";
import { useDismiss } from "../dismiss";
import { listPath, SPANS, type Filters, type Span } from "../filters";
import { go } from "../route";
import { spanWords } from "../time";
import { Link } from "./link";
import { Icon } from "./badges";

/** Time range picker: relative ranges up to now, or a custom range. */
export function TimeRangePicker({ filters }: { filters: Filters }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useDismiss(open, setOpen, box, button);
  const own = filters.from !== "";
  return (
    <div class="range" ref={box}>
      <button ref={button} type="button" class="button" aria-expanded={open} aria-controls="range" onClick={() => setOpen(!open)}>
        <Icon name="clock" />
        {own ? spanWords(filters.from, filters.to) : SPANS[filters.range].name}
      </button>
      {open && (
        <div id="range" class="panel range-panel">
          <nav aria-label="Relative ranges">
            {(Object.keys(SPANS) as Span[]).map((range) => (
              <Link key={range} href={listPath({ ...filters, range, from: "", to: "" })} aria-current={!own && filters.range === range ? "true" : undefined}>
                {SPANS[range].name}
              </Link>
            ))}
          </nav>
          <FromTo filters={filters} />
        </div>
      )}
    </div>
  );
}

function FromTo({ filters }: { filters: Filters }) {
  const now = new Date();
  const [from, setFrom] = useState(field(filters.from === "" ? new Date(now.getTime() - 86_400_000) : new Date(filters.from)));
  const [to, setTo] = useState(field(filters.to === "" ? now : new Date(filters.to)));
  const isSpan = instant(from) < instant(to);
  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (isSpan) go(listPath({ ...filters, from: instant(from), to: instant(to) }));
      }}
    >
      <label>
        From (UTC)
        <input type="datetime-local" value={from} required onInput={(event) => setFrom(event.currentTarget.value)} />
      </label>
      <label>
        To (UTC)
        <input type="datetime-local" value={to} required onInput={(event) => setTo(event.currentTarget.value)} />
      </label>
      {!isSpan && <p class="wrong">The end must be after the start.</p>}
      <button type="submit" class="button primary" disabled={!isSpan}>
        Apply
      </button>
      <p class="quiet">Or drag across the “Anomalies over time” chart.</p>
    </form>
  );
}

/** The value of a datetime-local input: "2026-11-22T14:00", in UTC. */
function field(at: Date): string {
  return at.toISOString().slice(0, 16);
}

function instant(text: string): string {
  return `${text}:00Z`;
}
