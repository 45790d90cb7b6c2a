/** Workflows and scored entities: state, sparkline and baseline of each. */

import { useMemo } from "preact/hooks";
import { ENTITY_PATHS, entityPath, type Kind } from "../paths";
import { ENTITIES, WORKFLOWS, type Baseline } from "../api";
import { moveFocus, useHotkeys } from "../hotkeys";
import { usePagination } from "../pagination";
import { PageFrame, PagedList } from "../components/page-frame";
import { Link } from "../components/link";
import { Nothing } from "../components/empty-list";
import { BaselineStateChip, VariantChip, VisuallyHidden } from "../components/badges";
import { SearchBox } from "../components/search-box";
import { Sparkline } from "../components/sparkline";
import { Table, type Column } from "../components/table";
import { RelativeTime } from "../components/relative-time";
import { go } from "../route";
import { withSpread } from "../format";
import { plainText, spelled } from "../plain-text";
import { BASELINE_STATES, readable, withUnknown } from "../vocabulary";

export const KINDS = {
  workflow: { path: ENTITY_PATHS.workflow, route: WORKFLOWS, title: "Workflows", note: "The baseline and current state of each workflow." },
  score: { path: ENTITY_PATHS.score, route: ENTITIES, title: "Entities", note: "Scored entities and their latest scores." },
} as const;

export function EntitiesPage({ kind, query }: { kind: Kind; query: URLSearchParams }) {
  const { path, route, title, note } = KINDS[kind];
  const q = query.get("q")?.trim() ?? "";
  const state = query.get("state") || null;
  const asked = useMemo(() => {
    const question = new URLSearchParams({ limit: "50" });
    if (q !== "") question.set("q", q);
    if (state !== null) question.set("state", state);
    return question;
  }, [q, state]);
  const pages = usePagination<Baseline>(route, asked, 15_000);
  useHotkeys({ j: () => moveFocus(1), k: () => moveFocus(-1) });
  const to = (changes: { q?: string; state?: string | null }) => {
    const next = new URLSearchParams();
    const { q: text, state: level } = { q, state, ...changes };
    if (text !== "") next.set("q", text);
    if (level !== null) next.set("state", level);
    const search = next.toString();
    return search === "" ? path : `${path}?${search}`;
  };
  return (
    <PageFrame title={title} note={note}>
      <div class="filters" role="search" aria-label="Filters">
        <SearchBox label={kind === "workflow" ? "Workflow" : "Entity"} text={q} onSearch={(text) => go(to({ q: text }), { replace: true })} />
        <nav class="segments" aria-label="State">
          <Link href={to({ state: null })} aria-current={state === null ? "true" : undefined}>
            All<VisuallyHidden> states</VisuallyHidden>
          </Link>
          {withUnknown(BASELINE_STATES, state === null ? [] : [state]).map((one) => (
            <Link key={one} href={to({ state: one })} aria-current={state === one ? "true" : undefined}>
              {readable(one)}
            </Link>
          ))}
        </nav>
      </div>
      <PagedList
        pages={pages}
        empty={<Nothing what={title.toLowerCase()} filtered={q !== "" || state !== null} all={path} kind={kind} />}
        show={(items) => <Table label={title} items={items} columns={kind === "workflow" ? WORKFLOW_COLUMNS : ENTITY_COLUMNS} id={({ key }) => key} />}
      />
    </PageFrame>
  );
}

const name = (kind: Kind): Column<Baseline> => ({
  name: kind === "workflow" ? "Workflow" : "Entity",
  show: ({ entity_id: id, entity_name: shown, variant, looks_like: others = [] }) => (
    <>
      <span class="row-name">
        <Link class="row-link" href={entityPath(kind, id, variant)}>
          {shown}
          {variant !== null && <VisuallyHidden>, variant {plainText(variant)}</VisuallyHidden>}
        </Link>
        <span aria-hidden="true">
          <VariantChip variant={variant} />
        </span>
      </span>
      {shown !== id && <code class="row-id">{id}</code>}
      {others.length > 0 && (
        <small class="row-id">
          {spelled(id)} looks like {others.map(spelled).join(", ")}, with a baseline each
        </small>
      )}
    </>
  ),
});
const state: Column<Baseline> = { name: "State", show: ({ state: level }) => <BaselineStateChip state={level} /> };
const updated: Column<Baseline> = { name: "Updated", right: true, show: ({ recorded_at: at }) => <RelativeTime at={at} /> };

const WORKFLOW_FACTS: Column<Baseline>[] = [
  state,
  { name: "Last runs", show: ({ key }) => <Sparkline entity={key} /> },
  { name: "Execution time", right: true, show: ({ baselines }) => withSpread(baselines["execution_time"], "s") },
  { name: "Failure rate", right: true, show: ({ baselines }) => withSpread(baselines["failure_rate"], "ratio") },
  { name: "Runs in 30 days", right: true, show: ({ baselines }) => (baselines["failure_rate"]?.window_size ?? 0).toLocaleString("en-GB") },
  updated,
];
const WORKFLOW_COLUMNS: Column<Baseline>[] = [name("workflow"), ...WORKFLOW_FACTS];
/** Of the variants of one workflow; what its executions without one have is a baseline, too. */
export const VARIANT_COLUMNS: Column<Baseline>[] = [
  {
    name: "Variant",
    show: ({ entity_id: id, variant }) =>
      variant === null ? (
        <span class="quiet">without a variant</span>
      ) : (
        <Link class="row-link" href={entityPath("workflow", id, variant)}>
          {plainText(variant)}
        </Link>
      ),
  },
  ...WORKFLOW_FACTS,
];
const ENTITY_COLUMNS: Column<Baseline>[] = [
  name("score"),
  state,
  { name: "Last scores", show: ({ key }) => <Sparkline entity={key} last /> },
  updated,
];
