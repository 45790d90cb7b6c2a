/** The inbox: all messages, filtered by unread and severity. */

import { useMemo } from "preact/hooks";
import { INBOX, type InboxPage as InboxResponse, type Message } from "../api";
import { moveFocus, useHotkeys } from "../hotkeys";
import { useQuery } from "../query";
import { markAllRead } from "../inbox-messages";
import { usePagination } from "../pagination";
import { PageFrame, PagedList } from "../components/page-frame";
import { Link } from "../components/link";
import { SeverityShape, VisuallyHidden } from "../components/badges";
import { MessageRow } from "../components/message-row";
import { Notice } from "../components/notices";
import { SEVERITIES } from "../generated/registry";
import { readable, withUnknown } from "../vocabulary";

const POLL_MS = 15_000;
const ONE = new URLSearchParams({ limit: "1" });

export function InboxPage({ query }: { query: URLSearchParams }) {
  const unreadOnly = query.get("unread") === "true";
  const severity = query.get("severity") || null;
  const asked = useMemo(() => new URLSearchParams({ ...narrowed(unreadOnly, severity), limit: "50" }), [unreadOnly, severity]);
  const pages = usePagination<Message>(INBOX, asked, POLL_MS);
  const newest = useQuery<InboxResponse>(INBOX, ONE, POLL_MS).value;
  const unread = newest?.unread ?? 0;
  const first = newest?.items[0];
  useHotkeys({ j: () => moveFocus(1), k: () => moveFocus(-1) });
  const to = (changes: { unread?: boolean; severity?: string | null }) =>
    inboxPath(changes.unread ?? unreadOnly, changes.severity === undefined ? severity : changes.severity);
  return (
    <PageFrame
      title="Inbox"
      note="Every notification, including those that were rate-limited on other channels."
      aside={
        unread > 0 && first !== undefined ? (
          <button type="button" class="button" onClick={() => markAllRead(first)}>
            Mark all as read
          </button>
        ) : undefined
      }
    >
      <div class="filters" role="search" aria-label="Filters">
        <nav class="segments" aria-label="Read status">
          <Link href={to({ unread: false })} aria-current={unreadOnly ? undefined : "true"}>
            All<VisuallyHidden> messages</VisuallyHidden>
          </Link>
          <Link href={to({ unread: true })} aria-current={unreadOnly ? "true" : undefined}>
            Unread <small class="facet">{unread >= 1_000 ? "1,000+" : unread.toLocaleString("en-GB")}</small>
          </Link>
        </nav>
        <nav class="segments" aria-label="Severity">
          <Link href={to({ severity: null })} aria-current={severity === null ? "true" : undefined}>
            Any<VisuallyHidden> severity</VisuallyHidden>
          </Link>
          {withUnknown(SEVERITIES, severity === null ? [] : [severity]).map((one) => (
            <Link key={one} href={to({ severity: one })} aria-current={severity === one ? "true" : undefined}>
              <SeverityShape severity={one} />
              {readable(one)}
            </Link>
          ))}
        </nav>
      </div>
      <PagedList
        pages={pages}
        empty={<Nothing unreadOnly={unreadOnly} severity={severity} />}
        show={(items) => (
          <ol class="messages whole">
            {items.map((message) => (
              <MessageRow key={message.id} message={message} whole />
            ))}
          </ol>
        )}
      />
    </PageFrame>
  );
}

function narrowed(unread: boolean, severity: string | null): Record<string, string> {
  return { ...(unread ? { unread: "true" } : {}), ...(severity === null ? {} : { severity }) };
}

function inboxPath(unread: boolean, severity: string | null): string {
  const text = new URLSearchParams(narrowed(unread, severity)).toString();
  return text === "" ? "/inbox" : `/inbox?${text}`;
}

function Nothing({ unreadOnly, severity }: { unreadOnly: boolean; severity: string | null }) {
  return unreadOnly || severity !== null ? (
    <Notice title={unreadOnly && severity === null ? "No unread messages" : "No matches for these filters"}>
      <Link class="button" href="/inbox">
        Show all
      </Link>
    </Notice>
  ) : (
    <Notice title="No messages yet">
      <p>Alerts of severity “warning” and above arrive here by default. The Anomalies page lists everything, including anomalies below this threshold.</p>
    </Notice>
  );
}
