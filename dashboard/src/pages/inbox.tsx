/** Every message of the inbox: what is unread, what is severe, and all of it. */

import { useMemo } from "preact/hooks";
import { INBOX, SEVERITIES, type InboxPage as Found, type Message, type Severity } from "../api";
import { moveFocus, useKeys } from "../keys";
import { useAnswer } from "../load";
import { markAllRead } from "../messages";
import { usePages } from "../pages-of";
import { Frame, Listed } from "../parts/frame";
import { Link } from "../parts/link";
import { SeverityShape, Unseen } from "../parts/marks";
import { MessageLine } from "../parts/message";
import { Notice } from "../parts/notices";
import { SEVERITY_NAMES } from "../words";

const POLL_MS = 15_000;
const ONE = new URLSearchParams({ limit: "1" });

export function InboxPage({ query }: { query: URLSearchParams }) {
  const unreadOnly = query.get("unread") === "true";
  const severity = SEVERITIES.find((one) => one === query.get("severity")) ?? null;
  const asked = useMemo(() => new URLSearchParams({ ...narrowed(unreadOnly, severity), limit: "50" }), [unreadOnly, severity]);
  const pages = usePages<Message>(INBOX, asked, POLL_MS);
  const newest = useAnswer<Found>(INBOX, ONE, POLL_MS).value;
  const unread = newest?.unread ?? 0;
  const first = newest?.items[0];
  useKeys({ j: () => moveFocus(1), k: () => moveFocus(-1) });
  const to = (changes: { unread?: boolean; severity?: Severity | null }) =>
    addressOf(changes.unread ?? unreadOnly, changes.severity === undefined ? severity : changes.severity);
  return (
    <Frame
      title="Inbox"
      note="Every message that was sent, also those that other channels held back."
      aside={
        unread > 0 && first !== undefined ? (
          <button type="button" class="button" onClick={() => markAllRead(first)}>
            Mark all as read
          </button>
        ) : undefined
      }
    >
      <div class="filters" role="search" aria-label="Filters">
        <nav class="segments" aria-label="Which">
          <Link href={to({ unread: false })} aria-current={unreadOnly ? undefined : "true"}>
            All<Unseen> messages</Unseen>
          </Link>
          <Link href={to({ unread: true })} aria-current={unreadOnly ? "true" : undefined}>
            Unread <small class="facet">{unread >= 1_000 ? "1,000+" : unread.toLocaleString("en-GB")}</small>
          </Link>
        </nav>
        <nav class="segments" aria-label="Severity">
          <Link href={to({ severity: null })} aria-current={severity === null ? "true" : undefined}>
            Any<Unseen> severity</Unseen>
          </Link>
          {SEVERITIES.map((one) => (
            <Link key={one} href={to({ severity: one })} aria-current={severity === one ? "true" : undefined}>
              <SeverityShape severity={one} />
              {SEVERITY_NAMES[one]}
            </Link>
          ))}
        </nav>
      </div>
      <Listed
        pages={pages}
        empty={<Nothing unreadOnly={unreadOnly} severity={severity} />}
        show={(items) => (
          <ol class="messages whole">
            {items.map((message) => (
              <MessageLine key={message.id} message={message} whole />
            ))}
          </ol>
        )}
      />
    </Frame>
  );
}

function narrowed(unread: boolean, severity: Severity | null): Record<string, string> {
  return { ...(unread ? { unread: "true" } : {}), ...(severity === null ? {} : { severity }) };
}

function addressOf(unread: boolean, severity: Severity | null): string {
  const text = new URLSearchParams(narrowed(unread, severity)).toString();
  return text === "" ? "/inbox" : `/inbox?${text}`;
}

function Nothing({ unreadOnly, severity }: { unreadOnly: boolean; severity: Severity | null }) {
  return unreadOnly || severity !== null ? (
    <Notice title={unreadOnly && severity === null ? "Everything is read" : "Nothing matches these filters"}>
      <Link class="button" href="/inbox">
        Show all
      </Link>
    </Notice>
  ) : (
    <Notice title="No messages yet">
      <p>Alerts from severity “warning” on arrive here, unless set otherwise. They are told apart from what is listed under Anomalies: that is everything.</p>
    </Notice>
  );
}
