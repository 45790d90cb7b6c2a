import { SEVERITIES, STATES, TYPES, type Facets } from "../api";
import { listPath, defaultFilters, isNarrowed, toggled, type Filters } from "../filters";
import { go } from "../route";
import { SEVERITY_NAMES, STATE_NAMES, TYPE_NAMES } from "../format";
import { Link } from "./link";
import { Icon, SeverityShape, VisuallyHidden } from "./badges";
import { SearchBox } from "./search-box";
import { TimeRangePicker } from "./time-range-picker";

/**
 * The filters, each value with its number of matches. Each choice is a URL of its own, so the back button undoes it;
 * typing replaces the URL instead.
 */
export function FilterBar({ filters, facets }: { filters: Filters; facets: Facets | null }) {
  // With very many anomalies the server counts incident status for the newest only.
  const more = facets !== null && !facets.whole && filters.incident !== null ? "+" : "";
  const number = (counts: Partial<Record<string, number>>, value: string) => (counts[value] ?? 0).toLocaleString("en-GB") + more;
  const counted = (counts: Partial<Record<string, number>> | undefined, value: string) =>
    counts === undefined ? "" : ` (${number(counts, value)})`;
  return (
    <div class="filters" role="search" aria-label="Filters">
      <SearchBox label="Workflow or entity" text={filters.q} onSearch={(q) => go(listPath({ ...filters, q }), { replace: true })} />
      <nav class="segments" aria-label="Severity">
        <Link href={listPath({ ...filters, severity: [] })} aria-current={filters.severity.length === 0 ? "true" : undefined}>
          All<VisuallyHidden> severities</VisuallyHidden>
        </Link>
        {SEVERITIES.map((severity) => (
          <Link
            key={severity}
            href={listPath({ ...filters, severity: toggled(filters.severity, severity) })}
            aria-current={filters.severity.includes(severity) ? "true" : undefined}
          >
            <SeverityShape severity={severity} />
            <span class="segment-name">{SEVERITY_NAMES[severity]}</span>
            {facets !== null && <small class="facet">{number(facets.severity, severity)}</small>}
          </Link>
        ))}
      </nav>
      <Choice
        label="Type"
        any="Any type"
        value={filters.type}
        choices={TYPES.map((type) => [type, TYPE_NAMES[type] + counted(facets?.type, type)])}
        onChoose={(type) => go(listPath({ ...filters, type }))}
      />
      <Choice
        label="State"
        any="Any state"
        value={filters.state}
        choices={STATES.map((state) => [state, STATE_NAMES[state] + counted(facets?.state, state)])}
        onChoose={(state) => go(listPath({ ...filters, state }))}
      />
      <TimeRangePicker filters={filters} />
      {filters.entity !== "" && <Chip name="Only" value={filters.entity} href={listPath({ ...filters, entity: "" })} />}
      {filters.run !== "" && <Chip name="Score run" value={filters.run} href={listPath({ ...filters, run: "" })} />}
      {isNarrowed(filters) && (
        <Link class="clear" href={listPath({ ...defaultFilters(filters.range), from: filters.from, to: filters.to })}>
          Clear filters
        </Link>
      )}
    </div>
  );
}

function Chip({ name, value, href }: { name: string; value: string; href: string }) {
  return (
    <Link class="button small" href={href}>
      <span class="cut">
        {name} {value}
      </span>
      <Icon name="close" />
      <VisuallyHidden>Remove this filter</VisuallyHidden>
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
      <VisuallyHidden>{label}</VisuallyHidden>
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
