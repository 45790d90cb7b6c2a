/** No anomalies yet: either no event has arrived (how to send one), or nothing unusual was found. */

import { useState } from "preact/hooks";
import { errorText } from "../actions";
import { EVENTS, HEALTH, send, type Health } from "../api";
import { sampleCommand, sampleEvents } from "../sample-events";
import { useQuery } from "../query";
import { useCanAct } from "../permissions";
import { showToast } from "../toast";
import { Link } from "./link";
import { Command, Notice } from "./notices";
import { RelativeTime } from "./relative-time";

const NO_QUERY = new URLSearchParams();
const POLL_MS = 3_000;

export function GettingStarted({ title = "No anomalies yet" }: { title?: string }) {
  const health = useQuery<Health>(HEALTH, NO_QUERY, POLL_MS).value;
  const newest = health?.newest_event_at ?? null;
  return (
    <Notice title={title}>
      {newest === null ? (
        <>
          <p>
            No event has arrived yet. This command publishes a workflow that fails three times in a row, which is an anomaly. It
            appears here automatically.
          </p>
          <HowToSend health={health} />
          <p class="waiting">
            <span class="progress" /> Waiting for the first event
          </p>
        </>
      ) : (
        <>
          <p>
            Events are arriving (the newest is from <RelativeTime at={newest} />) and none is anomalous. A baseline needs the first
            10 to 30 executions of a workflow.
          </p>
          <p>
            <Link class="button" href="/workflows">
              Show baselines
            </Link>
          </p>
          <p>To see an example anomaly, publish a workflow that fails three times in a row:</p>
          <HowToSend health={health} />
        </>
      )}
    </Notice>
  );
}

function HowToSend({ health }: { health: Health | null }) {
  const [command] = useState(() => sampleCommand(Date.now()));
  const [busy, setBusy] = useState(false);
  const canAct = useCanAct();
  const publish = () => {
    setBusy(true);
    send("POST", EVENTS, sampleEvents(Date.now()))
      .then(
        () => showToast("Sent. The anomaly appears here within seconds."),
        (error: unknown) => showToast(errorText(error), true),
      )
      .finally(() => setBusy(false));
  };
  return (
    <>
      <Command text={command} />
      <p class="quiet">
        If STREAM_DETECTOR_BROKER is not set, add <code>--broker</code> with the broker address that{" "}
        <code>stream-detector up</code> printed.
      </p>
      {canAct && health?.broker === "ok" && (
        <button type="button" class="button primary" disabled={busy} onClick={publish}>
          Send from here
        </button>
      )}
    </>
  );
}
