import type { Facets } from "../api";
import { addressOf, type Filters, type Stand } from "../filters";
import { Link } from "./link";

const NAMES: readonly (readonly [Stand | null, string])[] = [
  [null, "All"],
  ["unacknowledged", "Needs attention"],
  ["acknowledged", "Acknowledged"],
  ["resolved", "Over"],
];

/** What still waits for somebody, what somebody has, what is over. */
export function Stands({ filters, facets }: { filters: Filters; facets: Facets | null }) {
  const count = (stand: Stand | null) => {
    if (facets === null) return "";
    const { incident, whole } = facets;
    const all = (incident.unacknowledged ?? 0) + (incident.acknowledged ?? 0) + (incident.resolved ?? 0);
    const found = stand === null ? (filters.incident === null ? facets.total : all) : (incident[stand] ?? 0);
    // Of very many only the newest are counted by how they stand.
    const atLeast = !whole && (stand !== null || filters.incident !== null);
    return found.toLocaleString("en-GB") + (atLeast ? "+" : "");
  };
  return (
    <nav class="tabs" aria-label="Incidents">
      {NAMES.map(([stand, name]) => (
        <Link key={name} href={addressOf({ ...filters, incident: stand })} aria-current={filters.incident === stand ? "true" : undefined}>
          {name} <small class="facet">{count(stand)}</small>
        </Link>
      ))}
    </nav>
  );
}
