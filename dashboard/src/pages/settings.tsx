/** Effective settings with their sources, and a preview of another threshold or profile. */

import { useMemo, useState } from "preact/hooks";
import { PREVIEW, SETTINGS, type Preview, type Setting } from "../api";
import { useQuery } from "../query";
import { PageFrame, RowSkeletons, Section } from "../components/page-frame";
import { Link } from "../components/link";
import { VisuallyHidden } from "../components/badges";
import { ErrorNotice, Notice, StaleBanner } from "../components/notices";
import { SearchBox } from "../components/search-box";
import { Table, type Column } from "../components/table";
import { go } from "../route";
import { settingValue } from "../format";
import { PROFILES } from "../generated/registry";
import { readable, typeName, withUnknown } from "../vocabulary";

const NO_QUERY = new URLSearchParams();

export function SettingsPage({ query }: { query: URLSearchParams }) {
  const { value, error, at, reload } = useQuery<{ items: Setting[] }>(SETTINGS, NO_QUERY, 60_000);
  const q = query.get("q")?.trim() ?? "";
  const changedOnly = query.get("changed") === "true";
  const found =
    value?.items.filter(
      (one) => `${one.name} ${one.doc}`.toLowerCase().includes(q.toLowerCase()) && !(changedOnly && one.value === one.default),
    ) ?? [];
  const groups = [...new Set(found.map(({ group }) => group))];
  return (
    <PageFrame title="Settings" note="Effective settings (read-only). Set them by environment variable, file or command line.">
      {value !== null && <PreviewForm items={value.items} />}
      <div class="filters" role="search" aria-label="Filters">
        <SearchBox label="Setting" text={q} onSearch={(text) => go(settingsPath(text, changedOnly), { replace: true })} />
        <nav class="segments" aria-label="Show">
          <Link href={settingsPath(q, false)} aria-current={changedOnly ? undefined : "true"}>
            All<VisuallyHidden> settings</VisuallyHidden>
          </Link>
          <Link href={settingsPath(q, true)} aria-current={changedOnly ? "true" : undefined}>
            Changed
          </Link>
        </nav>
      </div>
      {value === null ? (
        error === null ? <RowSkeletons /> : <ErrorNotice error={error} reload={reload} />
      ) : (
        <>
          {error !== null && <StaleBanner error={error} at={at} reload={reload} />}
          {found.length === 0 && <Notice title="No matching settings">{null}</Notice>}
          {groups.map((group) => (
            <section key={group} class="card found settings">
              <div class="section-head inset">
                <h2>{readable(group)}</h2>
              </div>
              <Table label={readable(group)} items={found.filter((one) => one.group === group)} columns={COLUMNS} id={({ name }) => name} />
            </section>
          ))}
        </>
      )}
    </PageFrame>
  );
}

function settingsPath(q: string, changedOnly: boolean): string {
  const query = new URLSearchParams({ ...(q === "" ? {} : { q }), ...(changedOnly ? { changed: "true" } : {}) }).toString();
  return query === "" ? "/settings" : `/settings?${query}`;
}

/** Help text with code spans in backquotes. */
function Doc({ text }: { text: string }) {
  return <>{text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}

const COLUMNS: Column<Setting>[] = [
  {
    name: "Setting",
    show: ({ name, doc }) => (
      <>
        <code class="setting">{name}</code>
        <span class="quiet setting-doc">
          <Doc text={doc} />
        </span>
      </>
    ),
  },
  {
    name: "Value",
    show: ({ value, unit }) => (
      <strong title={value}>{settingValue(value, unit)}</strong>
    ),
  },
  { name: "Default", show: ({ default: usual, unit }) => <span class="quiet">{settingValue(usual, unit)}</span> },
  { name: "Source", show: ({ origin }) => origin },
];

/** Replays the stored history with another threshold or profile and counts the alerts. */
function PreviewForm({ items }: { items: Setting[] }) {
  const now = (name: string) => items.find((one) => one.name.toLowerCase().endsWith(name))?.value ?? "";
  const [threshold, setThreshold] = useState(now("score_threshold"));
  const [profile, setProfile] = useState(now("profile") || "classic");
  const [asked, setAsked] = useState<URLSearchParams | null>(null);
  const { value, error } = useQuery<Preview>(asked === null ? null : PREVIEW, useMemo(() => asked ?? new URLSearchParams(), [asked]), 3_600_000);
  const types = value === null ? [] : [...new Set([...Object.keys(value.now.by_type), ...Object.keys(value.then.by_type)])];
  return (
    <Section title="Preview other settings" wide>
      <form
        class="try"
        onSubmit={(event) => {
          event.preventDefault();
          setAsked(new URLSearchParams({ score_threshold: threshold, profile, days: "30" }));
        }}
      >
        <label>
          Score threshold
          <input inputMode="decimal" value={threshold} onInput={(event) => setThreshold(event.currentTarget.value)} />
        </label>
        <label>
          Profile
          <select value={profile} onChange={(event) => setProfile(event.currentTarget.value)}>
            {withUnknown(PROFILES, [profile]).map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" class="button primary">
          Preview
        </button>
      </form>
      {asked === null ? (
        <p class="quiet">Replays your last 30 days with these values. Nothing is changed.</p>
      ) : value === null ? (
        error === null ? <div class="progress" /> : <p class="wrong">{error.message}</p>
      ) : (
        <div class="tried" aria-live="polite">
          <p class="lead">
            <strong>{value.then.alerts.toLocaleString("en-GB")} alerts</strong> in the last 30 days, instead of {value.now.alerts.toLocaleString("en-GB")}.{" "}
            <span class="quiet">
              From {value.events.toLocaleString("en-GB")} stored events{value.whole ? "" : " (a sample)"}.
            </span>
          </p>
          <Table
            label="Alerts by type"
            items={types}
            id={(type) => type}
            columns={[
              { name: "Type", show: (type) => typeName(type) },
              { name: "Current", right: true, show: (type) => (count(value.now, type)).toLocaleString("en-GB") },
              { name: "Preview", right: true, show: (type) => <strong>{count(value.then, type).toLocaleString("en-GB")}</strong> },
            ]}
          />
        </div>
      )}
    </Section>
  );
}

function count({ by_type: counts }: Preview["now"], type: string): number {
  return (counts as Record<string, number | undefined>)[type] ?? 0;
}
