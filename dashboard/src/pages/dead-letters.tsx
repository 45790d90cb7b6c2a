/** Dead letters: reason, origin and payload of each rejected event, and retry. */

import { useMemo, useState } from "preact/hooks";
import { errorText } from "../actions";
import { DEAD_LETTERS, ONE_DEAD_LETTER, send, withId, type DeadLetter, type DeadLetterDetail } from "../api";
import { reloadAll, useQuery } from "../query";
import { usePagination } from "../pagination";
import { Dialog } from "../components/dialog";
import { Fact } from "../components/fact";
import { PageFrame, PagedList } from "../components/page-frame";
import { Notice } from "../components/notices";
import { Table, type Column } from "../components/table";
import { RelativeTime } from "../components/relative-time";
import { showToast } from "../toast";
import { exact } from "../time";

const FIRST = new URLSearchParams({ limit: "50" });
const NO_QUERY = new URLSearchParams();

function place({ partition, offset }: Pick<DeadLetter, "partition" | "offset">): string {
  return `${partition}-${offset}`;
}

export function DeadLettersPage() {
  const pages = usePagination<DeadLetter>(DEAD_LETTERS, FIRST, 15_000);
  const [shown, setShown] = useState<DeadLetter | null>(null);
  const columns: Column<DeadLetter>[] = [
    {
      name: "Reason",
      show: (letter) => (
        <>
          <button type="button" class="link-button row-link" onClick={() => setShown(letter)}>
            {letter.reason.replaceAll("_", " ")}
          </button>
          <span class="quiet setting-doc">{letter.message}</span>
        </>
      ),
    },
    { name: "Topic", show: ({ topic }) => <code>{topic}</code> },
    { name: "Partition:offset", show: ({ original_partition: partition, original_offset: offset }) => <code>{`${partition}:${offset}`}</code> },
    { name: "Stage", show: ({ stage }) => stage },
    { name: "Size", right: true, show: ({ value_bytes: size }) => (size == null ? "–" : `${size.toLocaleString("en-GB")} bytes`) },
    { name: "Rejected", right: true, show: ({ record_at: at }) => <RelativeTime at={at} /> },
  ];
  return (
    <PageFrame title="Dead letters" note="Events that could not be processed. They are kept on the dead-letter topic with the reason.">
      <PagedList
        pages={pages}
        empty={
          <Notice title="No dead letters">
            <p>Every event so far was processed.</p>
          </Notice>
        }
        show={(items) => <Table label="Dead letters" items={items} columns={columns} id={place} />}
      />
      {shown !== null && <DeadLetterDialog letter={shown} onClose={() => setShown(null)} />}
    </PageFrame>
  );
}

function DeadLetterDialog({ letter, onClose }: { letter: DeadLetter; onClose: () => void }) {
  const path = withId(ONE_DEAD_LETTER, place(letter));
  const { value, error } = useQuery<DeadLetterDetail>(path, NO_QUERY, 3_600_000);
  const [busy, setBusy] = useState(false);
  const headers = useMemo(() => Object.entries(value?.headers ?? {}), [value]);
  const retry = () => {
    setBusy(true);
    send("POST", `${path}/retry`)
      .then(
        () => {
          showToast("Sent again. If it is rejected again, it returns to this list.");
          reloadAll();
          onClose();
        },
        (failed: unknown) => showToast(errorText(failed), true),
      )
      .finally(() => setBusy(false));
  };
  return (
    <Dialog title={letter.reason.replaceAll("_", " ")} wide onClose={onClose}>
      <p class="anywhere">{letter.message}</p>
      <dl class="facts">
        <Fact own name="Topic">
          <code>
            {letter.topic} {letter.original_partition}:{letter.original_offset}
          </code>
        </Fact>
        <Fact own name="Rejected">{exact(letter.record_at)}</Fact>
        {value?.key != null && value.key !== "" && (
          <Fact own name="Key">
            <code>{value.key}</code>
          </Fact>
        )}
        {headers.map(([name, text]) => (
          <Fact own key={name} name={name}>
            <code>{text}</code>
          </Fact>
        ))}
      </dl>
      {value === null ? (
        error === null ? <div class="skeleton" /> : <p class="quiet">{error.message}</p>
      ) : (
        <pre class="payload" tabIndex={0}>
          <code>{value.value ?? "(empty)"}</code>
        </pre>
      )}
      <div class="dialog-buttons">
        <button type="button" class="button" onClick={onClose}>
          Close
        </button>
        <button type="button" class="button primary" disabled={busy || value === null} onClick={retry}>
          Retry
        </button>
      </div>
    </Dialog>
  );
}
