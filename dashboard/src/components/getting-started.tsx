/** Nothing found yet: either nothing has arrived, and then how to send the first event, or all is well. */

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
const LOOK_EVERY_MS = 3_000;

export function GettingStarted({ title = "No anomalies yet" }: { title?: string }) {
  const health = useQuery<Health>(HEALTH, NO_QUERY, LOOK_EVERY_MS).value;
  const newest = health?.newest_event_at ?? null;
  return (
    <Notice title={title}>
      {newest === null ? (
        <>
          <p>
            No event has arrived yet. Send the first: this publishes a workflow that fails three times in a row, which is
            an anomaly. It appears here by itself.
          </p>
          <HowToSend health={health} />
          <p class="waiting">
            <span class="progress" /> Waiting for the first event
          </p>
        </>
      ) : (
        <>
          <p>
            All is well: events arrive, the last one ended <RelativeTime at={newest} />, and nothing unusual is among them. What is
            usual for each workflow is learned from its first 10 to 30 executions.
          </p>
          <p>
            <Link class="button" href="/workflows">
              What was learned so far
            </Link>
          </p>
          <p>To see how an anomaly looks, publish a workflow that fails three times in a row:</p>
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
        () => showToast("Sent. It appears here within seconds."),
        (error: unknown) => showToast(errorText(error), true),
      )
      .finally(() => setBusy(false));
  };
  return (
    <>
      <Command text={command} />
      <p class="quiet">
        Where STREAM_DETECTOR_BROKER is not set, add <code>--broker</code> with the address that{" "}
        <code>stream-detector up</code> printed as its broker.
      </p>
      {canAct && health?.broker === "ok" && (
        <button type="button" class="button primary" disabled={busy} onClick={publish}>
          Send it from here
        </button>
      )}
    </>
  );
}
