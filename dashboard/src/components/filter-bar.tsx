import type { Facets } from "../api";
import { listPath, defaultFilters, isNarrowed, toggled, type Filters } from "../filters";
import { plainText } from "../plain-text";
import { go } from "../route";
import { Link } from "./link";
import { Icon, SeverityShape, VisuallyHidden } from "./badges";
import { SearchBox } from "./search-box";
import { TimeRangePicker } from "./time-range-picker";
import { SEVERITIES, STATES } from "../generated/registry";
import { readable, TYPES, typeName, withUnknown } from "../vocabulary";

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
        {withUnknown(SEVERITIES, Object.keys(facets?.severity ?? {}), filters.severity).map((severity) => (
          <Link
            key={severity}
            href={listPath({ ...filters, severity: toggled(filters.severity, severity) })}
            aria-current={filters.severity.includes(severity) ? "true" : undefined}
          >
            <SeverityShape severity={severity} />
            <span class="segment-name">{readable(severity)}</span>
            {facets !== null && <small class="facet">{number(facets.severity, severity)}</small>}
          </Link>
        ))}
      </nav>
      <Choice
        label="Type"
        any="Any type"
        value={filters.type}
        choices={withUnknown(TYPES, Object.keys(facets?.type ?? {}), given(filters.type)).map((type) => [type, typeName(type) + counted(facets?.type, type)])}
        onChoose={(type) => go(listPath({ ...filters, type }))}
      />
      <Choice
        label="State"
        any="Any state"
        value={filters.state}
        choices={withUnknown(STATES, Object.keys(facets?.state ?? {}), given(filters.state)).map((state) => [state, readable(state) + counted(facets?.state, state)])}
        onChoose={(state) => go(listPath({ ...filters, state }))}
      />
      {(filters.variant !== null || Object.keys(facets?.variant ?? {}).length > 0) && (
        <Choice
          label="Variant"
          any="Any variant"
          value={filters.variant}
          choices={withUnknown([], Object.keys(facets?.variant ?? {}), given(filters.variant)).map((one) => [one, plainText(one) + counted(facets?.variant, one)])}
          onChoose={(variant) => go(listPath({ ...filters, variant }))}
        />
      )}
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

function given(value: string | null): string[] {
  return value === null ? [] : [value];
}

interface ChoiceProps {
  label: string;
  any: string;
  value: string | null;
  choices: readonly (readonly [string, string])[];
  onChoose: (value: string | null) => void;
}

function Choice({ label, any, value, choices, onChoose }: ChoiceProps) {
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
