import { SEVERITIES, STATES, TRENDS, TYPES, type Trends } from "../api";
import { addressOf, anyOf, isNarrowed, questionOf, type Filters } from "../filters";
import { useAnswer } from "../load";
import { go } from "../route";
import { SEVERITY_NAMES, STATE_NAMES, TYPE_NAMES } from "../words";
import { Link } from "./link";
import { Icon, SeverityShape, Unseen } from "./marks";
import { SearchBox } from "./search-box";

const FACETS_EVERY_MS = 15_000;

/** The filters. Each choice is an address of its own, so back undoes it; typing replaces the address instead. */
export function FilterBar({ filters }: { filters: Filters }) {
  const bySeverity = useFacet({ ...filters, severity: null })?.by_severity;
  const byType = useFacet({ ...filters, type: null })?.by_type;
  return (
    <div class="filters" role="search" aria-label="Filters">
      <SearchBox label="Workflow or entity" text={filters.q} onSearch={(q) => go(addressOf({ ...filters, q }), { replace: true })} />
      <nav class="segments" aria-label="Severity">
        <Link
          href={addressOf({ ...filters, severity: null })}
          aria-current={filters.severity === null ? "true" : undefined}
        >
          All<Unseen> severities</Unseen>
        </Link>
        {SEVERITIES.map((severity) => (
          <Link
            key={severity}
            href={addressOf({ ...filters, severity })}
            aria-current={filters.severity === severity ? "true" : undefined}
          >
            <SeverityShape severity={severity} />
            {SEVERITY_NAMES[severity]}
            <Count of={bySeverity === undefined ? null : (bySeverity[severity] ?? 0)} />
          </Link>
        ))}
      </nav>
      <Choice
        label="Type"
        any="Any type"
        value={filters.type}
        choices={TYPES.map((type) => [type, TYPE_NAMES[type] + (byType === undefined ? "" : ` (${(byType[type] ?? 0).toLocaleString("en-GB")})`)])}
        onChoose={(type) => go(addressOf({ ...filters, type }))}
      />
      <Choice
        label="State"
        any="Any state"
        value={filters.state}
        choices={STATES.map((state) => [state, STATE_NAMES[state]])}
        onChoose={(state) => go(addressOf({ ...filters, state }))}
      />
      {filters.entity !== "" && (
        <Chip name="Only" value={filters.entity} href={addressOf({ ...filters, entity: "" })} />
      )}
      {filters.from !== "" && <Chip name="From" value={`${stamp(filters.from)} to ${stamp(filters.to)}`} href={addressOf({ ...filters, from: "", to: "" })} />}
      {filters.run !== "" && (
        <Chip name="Score run" value={filters.run} href={addressOf({ ...filters, run: "" })} />
      )}
      {isNarrowed(filters) && (
        <Link class="clear" href={addressOf(anyOf(filters.range))}>
          Clear filters
        </Link>
      )}
    </div>
  );
}

/** How many there are of each value, whatever of its kind is chosen now. */
function useFacet(filters: Filters): Trends | null {
  return useAnswer<Trends>(TRENDS, questionOf(filters), FACETS_EVERY_MS).value;
}

function Count({ of: count }: { of: number | null }) {
  return count === null ? null : <small class="facet">{count.toLocaleString("en-GB")}</small>;
}

function Chip({ name, value, href }: { name: string; value: string; href: string }) {
  return (
    <Link class="button small" href={href}>
      <span class="cut">
        {name} {value}
      </span>
      <Icon name="close" />
      <Unseen>Remove this filter</Unseen>
    </Link>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  any: string;
  value: T | null;
  choices: readonly (readonly [T, string])[];
  onChoose: (value: T | null) => void;
}

function Choice<T extends string>({ label, any, value, choices, onChoose }: ChoiceProps<T>) {
  const choose = (picked: string) => onChoose(choices.find(([one]) => one === picked)?.[0] ?? null);
  return (
    <label class={value === null ? "choice" : "choice chosen"}>
      <Unseen>{label}</Unseen>
      <select value={value ?? ""} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">{any}</option>
        {choices.map(([one, name]) => (
          <option key={one} value={one}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** "2026-11-22 14:00". */
function stamp(instant: string): string {
  return new Date(instant).toISOString().slice(0, 16).replace("T", " ");
}
