import { RANGES, type Range, type Trends } from "../api";
import { listPath, SPANS, type Filters } from "../filters";
import type { QueryResult } from "../query";
import { total } from "../trends";
import { SEVERITIES } from "../generated/registry";
import { readable, withUnknown } from "../vocabulary";
import { Link } from "./link";
import { SeverityShape, VisuallyHidden } from "./badges";

/** The number of anomalies in each time range; choosing one sets the range filter. */
export function RangeCards({ filters, trends }: { filters: Filters; trends: Record<Range, QueryResult<Trends>> }) {
  return (
    <nav class="card spans" aria-label="Range">
      {RANGES.map((range) => {
        const counts = trends[range].value?.by_severity ?? null;
        return (
          <Span
            key={range}
            range={range}
            href={listPath({ ...filters, range, from: "", to: "" })}
            current={filters.from === "" && filters.range === range}
            sum={trends[range].value === null ? null : total(trends[range].value)}
            counts={counts}
          />
        );
      })}
    </nav>
  );
}

interface SpanProps {
  range: Range;
  href: string;
  current: boolean;
  sum: number | null;
  counts: Partial<Record<string, number>> | null;
  /** Count of the preceding range of the same length. */
  before?: number | null;
}

/** One time range: count, change from the preceding range, and counts by severity. */
export function Span({ range, href, current, sum, counts, before }: SpanProps) {
  return (
    <Link class="span" href={href} aria-current={current ? "true" : undefined}>
      <span class="span-name">{SPANS[range].name}</span>
      <span class="span-count">
        {sum === null ? <span class="skeleton count" /> : <span class="count">{sum.toLocaleString("en-GB")}</span>}
        {sum !== null && before != null && <Trend now={sum} before={before} />}
      </span>
      <span class="split">
        {counts !== null &&
          withUnknown(SEVERITIES, Object.keys(counts)).map((severity) => (
            <span key={severity} title={readable(severity)}>
              <SeverityShape severity={severity} />
              {(counts[severity] ?? 0).toLocaleString("en-GB")}
              <VisuallyHidden> {severity}</VisuallyHidden>
            </span>
          ))}
      </span>
    </Link>
  );
}

function Trend({ now, before }: { now: number; before: number }) {
  const title = `${before.toLocaleString("en-GB")} in the preceding period`;
  if (now === before) {
    return (
      <small class="trend" title={title}>
        no change
      </small>
    );
  }
  return (
    <small class="trend" title={title}>
      {now > before ? "▲" : "▼"} {Math.abs(now - before).toLocaleString("en-GB")} {now > before ? "more" : "fewer"}
    </small>
  );
}
