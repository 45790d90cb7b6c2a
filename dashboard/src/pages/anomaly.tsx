import { useEffect, useState } from "preact/hooks";
import { withId, type Anomaly } from "../api";
import { useQuery } from "../query";
import { AnomalyDetail } from "../components/anomaly-detail";
import { Link } from "../components/link";
import { Icon } from "../components/badges";
import { PrevNext } from "../components/prev-next";
import { ErrorNotice, Notice, StaleBanner } from "../components/notices";
import { lastList } from "../route";
import { nameOf } from "../state-keys";
import { typeName } from "../vocabulary";

const POLL_MS = 30_000;
const RETRY_MS = 2_000;
const PATIENCE_MS = 60_000;
const NO_QUERY = new URLSearchParams();

export function AnomalyPage({ id }: { id: string }) {
  const [waiting, setWaiting] = useState(true);
  const { value, error, at, reload } = useQuery<Anomaly>(
    withId("/api/v1/ai/anomalies/{id}", id),
    NO_QUERY,
    waiting ? RETRY_MS : POLL_MS,
  );
  useEffect(() => {
    if (value !== null) {
      setWaiting(false);
      return undefined;
    }
    const timer = setTimeout(() => setWaiting(false), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [value === null, id]);
  useEffect(() => {
    document.title = value === null ? "Anomaly · stream-detector" : `${typeName(value.anomaly_type)}: ${nameOf(value)}`;
  }, [value]);

  return (
    <main id="main" class="page detail">
      <div class="detail-top">
        <Link class="way-back" href={lastList()}>
          <Icon name="back" />
          Anomalies
        </Link>
        <PrevNext id={id} />
      </div>
      {value !== null && error !== null && <StaleBanner error={error} at={at} reload={reload} />}
      {value !== null ? (
        <AnomalyDetail anomaly={value} />
      ) : error === null ? (
        <Skeleton />
      ) : error.kind === "deleted" ? (
        <Notice alone title="Anomaly deleted">
          <p>{error.message}</p>
        </Notice>
      ) : error.kind === "missing" ? (
        <Missing waiting={waiting} reload={reload} />
      ) : (
        <ErrorNotice alone error={error} reload={reload} />
      )}
    </main>
  );
}

/** A notification may be delivered before the recorder has stored the anomaly. */
function Missing({ waiting, reload }: { waiting: boolean; reload: () => void }) {
  return waiting ? (
    <Notice alone title="Not stored yet">
      <p>The notification arrived before the anomaly was stored. This page retries every two seconds.</p>
      <div class="progress" />
    </Notice>
  ) : (
    <Notice alone title="Anomaly not found">
      <p>No anomaly with this id is stored. It may have passed the retention period.</p>
      <button type="button" class="button" onClick={reload}>
        Retry
      </button>
    </Notice>
  );
}

function Skeleton() {
  return (
    <div role="status" class="detail-skeletons">
      <span class="skeleton" />
      <span class="skeleton" />
      <span class="skeleton" />
      <span class="skeleton history-skeleton" />
      <h1 class="visually-hidden" tabIndex={-1}>
        Loading anomaly
      </h1>
    </div>
  );
}
