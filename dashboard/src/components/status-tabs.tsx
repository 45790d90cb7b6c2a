import type { Facets } from "../api";
import { listPath, type Filters, type Status } from "../filters";
import { Link } from "./link";

const NAMES: readonly (readonly [Status | null, string])[] = [
  [null, "All"],
  ["unacknowledged", "Needs attention"],
  ["acknowledged", "Acknowledged"],
  ["resolved", "Resolved"],
];

/** Filter by incident status: needs attention, acknowledged, resolved. */
export function StatusTabs({ filters, facets }: { filters: Filters; facets: Facets | null }) {
  const count = (status: Status | null) => {
    if (facets === null) return "";
    const { incident, whole } = facets;
    const all = (incident.unacknowledged ?? 0) + (incident.acknowledged ?? 0) + (incident.resolved ?? 0);
    const found = status === null ? (filters.incident === null ? facets.total : all) : (incident[status] ?? 0);
    // With very many anomalies the server counts incident status for the newest only.
    const atLeast = !whole && (status !== null || filters.incident !== null);
    return found.toLocaleString("en-GB") + (atLeast ? "+" : "");
  };
  return (
    <nav class="tabs" aria-label="Incidents">
      {NAMES.map(([status, name]) => (
        <Link key={name} href={listPath({ ...filters, incident: status })} aria-current={filters.incident === status ? "true" : undefined}>
          {name} <small class="facet">{count(status)}</small>
        </Link>
      ))}
    </nav>
  );
}
