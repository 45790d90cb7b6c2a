import type { Trends } from "../api";
import { listPath, type Filters } from "../filters";
import { bars } from "../trends";
import { percent } from "../format";
import { readable, severityClass } from "../vocabulary";
import { Link } from "./link";
import { SeverityShape } from "./badges";

/** Severity distribution as bars. Hover or focus shows count and share; a click filters. */
export function SeverityChart({ trends, filters }: { trends: Trends | null; filters: Filters }) {
  return (
    <figure class="card figure">
      <figcaption>Severity</figcaption>
      {trends === null ? (
        <div class="skeleton bars-skeleton" />
      ) : (
        <ul class="bars">
          {bars(trends).map(({ severity, count, share, part }) => (
            <li key={severity}>
              <Link class="bar" href={listPath({ ...filters, severity: [severity] })}>
                <span class="bar-name">
                  <SeverityShape severity={severity} />
                  {readable(severity)}
                </span>
                <svg class={`bar-fill ${severityClass(severity)}`} preserveAspectRatio="none" viewBox="0 0 1 1" aria-hidden="true">
                  <rect class="bar-space" width="1" height="1" />
                  <rect width={share} height="1" />
                </svg>
                <span class="bar-count">{count.toLocaleString("en-GB")}</span>
                <span class="bar-tip" role="tooltip">
                  {count.toLocaleString("en-GB")} {readable(severity).toLowerCase()}, {percent(part)}
                </span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </figure>
  );
}
