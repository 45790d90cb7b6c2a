/** Workflows and scored entities: each with its state, its last readings as a line, and what it is judged by. */

import { useMemo } from "preact/hooks";
import { WATCHED, watchedAddress, type Kind } from "../addresses";
import { ENTITIES, WORKFLOWS, type Baseline } from "../api";
import { moveFocus, useKeys } from "../keys";
import { usePages } from "../pages-of";
import { Frame, Listed } from "../parts/frame";
import { Link } from "../parts/link";
import { Nothing } from "../parts/nothing";
import { LevelChip, Unseen } from "../parts/marks";
import { SearchBox } from "../parts/search-box";
import { Spark } from "../parts/spark";
import { Table, type Column } from "../parts/table";
import { When } from "../parts/when";
import { go } from "../route";
import { LEVEL_NAMES, LEVELS, spread } from "../words";

export const KINDS = {
  workflow: { path: WATCHED.workflow, route: WORKFLOWS, title: "Workflows", note: "What each usually does, and how it is now." },
  score: { path: WATCHED.score, route: ENTITIES, title: "Entities", note: "Scored entities and their last scores." },
} as const;

export function WatchedPage({ kind, query }: { kind: Kind; query: URLSearchParams }) {
  const { path, route, title, note } = KINDS[kind];
  const q = query.get("q")?.trim() ?? "";
  const state = LEVELS.find((one) => one === query.get("state")) ?? null;
  const asked = useMemo(() => {
    const question = new URLSearchParams({ limit: "50" });
    if (q !== "") question.set("q", q);
    if (state !== null) question.set("state", state);
    return question;
  }, [q, state]);
  const pages = usePages<Baseline>(route, asked, 15_000);
  useKeys({ j: () => moveFocus(1), k: () => moveFocus(-1) });
  const to = (changes: { q?: string; state?: string | null }) => {
    const next = new URLSearchParams();
    const { q: text, state: level } = { q, state, ...changes };
    if (text !== "") next.set("q", text);
    if (level !== null) next.set("state", level);
    const search = next.toString();
    return search === "" ? path : `${path}?${search}`;
  };
  return (
    <Frame title={title} note={note}>
      <div class="filters" role="search" aria-label="Filters">
        <SearchBox label={kind === "workflow" ? "Workflow" : "Entity"} text={q} onSearch={(text) => go(to({ q: text }), { replace: true })} />
        <nav class="segments" aria-label="State">
          <Link href={to({ state: null })} aria-current={state === null ? "true" : undefined}>
            All<Unseen> states</Unseen>
          </Link>
          {LEVELS.map((level) => (
            <Link key={level} href={to({ state: level })} aria-current={state === level ? "true" : undefined}>
              {LEVEL_NAMES[level]}
            </Link>
          ))}
        </nav>
      </div>
      <Listed
        pages={pages}
        empty={<Nothing what={title.toLowerCase()} filtered={q !== "" || state !== null} all={path} kind={kind} />}
        show={(items) => <Table label={title} items={items} columns={kind === "workflow" ? WORKFLOW_COLUMNS : ENTITY_COLUMNS} id={({ key }) => key} />}
      />
    </Frame>
  );
}

const name = (kind: Kind): Column<Baseline> => ({
  name: kind === "workflow" ? "Workflow" : "Entity",
  show: ({ entity_id: id, entity_name: shown }) => (
    <>
      <Link class="row-link" href={watchedAddress(kind, id)}>
        {shown}
      </Link>
      {shown !== id && <code class="row-id">{id}</code>}
    </>
  ),
});
const state: Column<Baseline> = { name: "State", show: ({ state: level }) => <LevelChip level={level} /> };
const updated: Column<Baseline> = { name: "Updated", right: true, show: ({ recorded_at: at }) => <When at={at} /> };

const WORKFLOW_COLUMNS: Column<Baseline>[] = [
  name("workflow"),
  state,
  { name: "Last runs", show: ({ key }) => <Spark entity={key} /> },
  { name: "Execution time", right: true, show: ({ baselines }) => spread(baselines["execution_time"], "s") },
  { name: "Failure rate", right: true, show: ({ baselines }) => spread(baselines["failure_rate"], "ratio") },
  { name: "Runs in 30 days", right: true, show: ({ baselines }) => (baselines["failure_rate"]?.window_size ?? 0).toLocaleString("en-GB") },
  updated,
];
const ENTITY_COLUMNS: Column<Baseline>[] = [
  name("score"),
  state,
  { name: "Last scores", show: ({ key }) => <Spark entity={key} last /> },
  updated,
];
