/** Silences: list, expire, and create by entity, type or severity. */

import { useMemo, useState } from "preact/hooks";
import { errorText } from "../actions";
import { send, SILENCES, withId, type Silence } from "../api";
import { reloadAll, useNow } from "../query";
import { usePagination } from "../pagination";
import { Dialog } from "../components/dialog";
import { PageFrame, PagedList } from "../components/page-frame";
import { Link } from "../components/link";
import { Notice } from "../components/notices";
import { Table, type Column } from "../components/table";
import { RelativeTime } from "../components/relative-time";
import { useCanAct } from "../permissions";
import { showToast } from "../toast";
import { duration, exact } from "../time";
import { SEVERITIES } from "../generated/registry";
import { readable, TYPES, typeName } from "../vocabulary";

const VIEWS = [
  ["active", "Active"],
  ["ended", "Ended"],
  ["all", "All"],
] as const;

export function SilencesPage({ query }: { query: URLSearchParams }) {
  const view = VIEWS.find(([name]) => name === query.get("state"))?.[0] ?? "active";
  const pages = usePagination<Silence>(SILENCES, useMemo(() => new URLSearchParams({ state: view, limit: "50" }), [view]), 15_000);
  const canAct = useCanAct();
  const [making, setMaking] = useState(false);
  const now = useNow(30_000);
  return (
    <PageFrame
      title="Silences"
      note="Silenced anomalies are still detected and listed, but no notifications are sent."
      aside={
        canAct && (
          <button type="button" class="button primary" onClick={() => setMaking(true)}>
            New silence
          </button>
        )
      }
    >
      <nav class="segments fit" aria-label="Status">
        {VIEWS.map(([name, title]) => (
          <Link key={name} href={name === "active" ? "/silences" : `/silences?state=${name}`} aria-current={name === view ? "true" : undefined}>
            {title}
          </Link>
        ))}
      </nav>
      <PagedList
        pages={pages}
        empty={
          <Notice title={view === "active" ? "No active silences" : "No silences"}>
            <p>Silence one incident on its page or in the list. “New silence” silences everything that matches.</p>
          </Notice>
        }
        show={(items) => <Table label="Silences" items={items} columns={columns(canAct, now)} id={({ id }) => id} />}
      />
      {making && <NewSilence onClose={() => setMaking(false)} />}
    </PageFrame>
  );
}

function columns(canAct: boolean, now: number): Column<Silence>[] {
  return [
    { name: "Matches", show: (silence) => <What silence={silence} /> },
    {
      name: "Until",
      show: ({ until, active }) => (
        <span title={exact(until)}>{active ? `${duration(Math.max(0, Math.round((Date.parse(until) - now) / 60_000) * 60))} left` : `ended ${exact(until)}`}</span>
      ),
    },
    { name: "By", show: ({ by }) => by },
    { name: "Reason", show: ({ comment }) => comment ?? <span class="quiet">–</span> },
    { name: "Created", right: true, show: ({ at }) => <RelativeTime at={at} /> },
    {
      name: "Expire",
      right: true,
      show: ({ id, active }) =>
        active && canAct ? (
          <button type="button" class="button small" onClick={() => expireSilence(id)}>
            Expire
          </button>
        ) : (
          <span class="quiet">–</span>
        ),
    },
  ];
}

function What({ silence: { entity, incident_id: incident, matchers } }: { silence: Silence }) {
  const words = Object.entries(matchers);
  return (
    <span class="matchers">
      {entity !== "" && <code>{entity}</code>}
      {words.map(([name, value]) => (
        <code key={name}>
          {name} = {value}
        </code>
      ))}
      {incident != null && <span class="quiet">one incident</span>}
    </span>
  );
}

function expireSilence(id: string): void {
  send("DELETE", withId("/api/v1/silences/{id}", id)).then(
    () => {
      showToast("Silence expired.");
      reloadAll();
    },
    (error: unknown) => showToast(errorText(error), true),
  );
}

const SPANS = [
  ["1 hour", 3_600],
  ["1 day", 86_400],
  ["1 week", 604_800],
  ["30 days", 2_592_000],
] as const;

function NewSilence({ onClose }: { onClose: () => void }) {
  const [entity, setEntity] = useState("");
  const [type, setType] = useState("");
  const [severity, setSeverity] = useState("");
  const [comment, setComment] = useState("");
  const [span, setSpan] = useState<number>(86_400);
  const [wrong, setWrong] = useState("");
  const make = () => {
    const matchers = Object.fromEntries(Object.entries({ type, severity, entity: entity.trim() }).filter(([, value]) => value !== ""));
    if (Object.keys(matchers).length === 0) {
      setWrong("Set at least one matcher.");
      return;
    }
    send("POST", SILENCES, { matchers, for_s: span, ...(comment.trim() === "" ? {} : { comment: comment.trim() }) }).then(
      () => {
        showToast("Silenced.");
        reloadAll();
        onClose();
      },
      (error: unknown) => setWrong(errorText(error)),
    );
  };
  return (
    <Dialog title="New silence" onClose={onClose}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          make();
        }}
      >
        <label>
          Workflow or entity id
          <input value={entity} maxLength={256} placeholder="Any" onInput={(event) => setEntity(event.currentTarget.value)} />
        </label>
        <div class="form-pair">
          <label>
            Type
            <select value={type} onChange={(event) => setType(event.currentTarget.value)}>
              <option value="">Any</option>
              {TYPES.map((one) => (
                <option key={one} value={one}>
                  {typeName(one)}
                </option>
              ))}
            </select>
          </label>
          <label>
            Severity
            <select value={severity} onChange={(event) => setSeverity(event.currentTarget.value)}>
              <option value="">Any</option>
              {SEVERITIES.map((one) => (
                <option key={one} value={one}>
                  {readable(one)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <fieldset class="segments">
          <legend class="visually-hidden">Duration</legend>
          {SPANS.map(([name, seconds]) => (
            <button key={name} type="button" aria-pressed={span === seconds} onClick={() => setSpan(seconds)}>
              {name}
            </button>
          ))}
        </fieldset>
        <label>
          Reason (visible to others)
          <input value={comment} maxLength={500} placeholder="Optional" onInput={(event) => setComment(event.currentTarget.value)} />
        </label>
        {wrong !== "" && (
          <p class="wrong" role="alert">
            {wrong}
          </p>
        )}
        <button type="submit" class="button primary">
          Silence
        </button>
      </form>
    </Dialog>
  );
}
