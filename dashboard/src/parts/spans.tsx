import type { Range, Trends } from "../api";
import { addressOf, type Filters } from "../filters";
import { total } from "../trends";
import type { Loaded } from "../load";
import { Link } from "./link";
import { SeverityShape } from "./marks";
import { SEVERITIES } from "../api";
import { SEVERITY_NAMES } from "../words";

const SPAN_NAMES: Record<Range, string> = { "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days" };

/** How many there were in each span; choosing one is the range filter. */
export function Spans({ filters, trends }: { filters: Filters; trends: Record<Range, Loaded<Trends>> }) {
  return (
    <nav class="spans" aria-label="Range">
      {(["24h", "7d", "30d"] as const).map((range) => {
        const answer = trends[range].value;
        return (
          <Link
            key={range}
            class="span card"
            href={addressOf({ ...filters, range, from: "", to: "" })}
            aria-current={filters.from === "" && filters.range === range ? "true" : undefined}
          >
            <span class="span-name">{SPAN_NAMES[range]}</span>
            {answer === null ? <span class="bone count" /> : <span class="count">{total(answer).toLocaleString("en-GB")}</span>}
            <span class="split">
              {answer !== null &&
                SEVERITIES.map((severity) => (
                  <span key={severity} title={SEVERITY_NAMES[severity]}>
                    <SeverityShape severity={severity} />
                    {answer.by_severity[severity] ?? 0}
                    <span class="unseen"> {severity}</span>
                  </span>
                ))}
            </span>
          </Link>
        );
      })}
    </nav>
  );
}
