import { useRef, useState } from "preact/hooks";
import { INBOX, type InboxPage } from "../api";
import { useDismiss } from "../dismiss";
import { useQuery } from "../query";
import { markAllRead } from "../inbox-messages";
import { Link } from "./link";
import { Icon } from "./badges";
import { MessageRow } from "./message-row";

const POLL_MS = 15_000;
const SHOWN = new URLSearchParams({ limit: "10" });
const MAX_COUNT = 99;

/** The bell with the number of unread messages; opens the latest messages. */
export function InboxMenu() {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const { value } = useQuery<InboxPage>(INBOX, SHOWN, POLL_MS);
  const items = value?.items ?? [];
  const [newest] = items;
  const unread = value?.unread ?? 0;
  const count = unread > MAX_COUNT ? `${MAX_COUNT}+` : String(unread);
  useDismiss(open, setOpen, box, button);
  return (
    <div class="inbox" ref={box}>
      <button
        ref={button}
        type="button"
        class="icon-button"
        aria-expanded={open}
        aria-controls="inbox"
        aria-label={unread === 0 ? "Inbox" : `Inbox, ${count} unread`}
        onClick={() => setOpen(!open)}
      >
        <Icon name="bell" />
        {unread > 0 && (
          <span class="inbox-count" aria-hidden="true">
            {count}
          </span>
        )}
      </button>
      {open && (
        <section id="inbox" class="panel" aria-label="Inbox">
          <header>
            <h2>Inbox</h2>
            {unread > 0 && newest !== undefined && (
              <button type="button" class="button small" onClick={() => markAllRead(newest)}>
                Mark all as read
              </button>
            )}
          </header>
          {items.length === 0 ? (
            <p class="quiet">No messages. Alerts of severity “warning” and above arrive here by default.</p>
          ) : (
            <ol class="messages">
              {items.map((message) => (
                <MessageRow key={message.id} message={message} />
              ))}
            </ol>
          )}
          <footer>
            <Link href="/inbox">All messages</Link>
          </footer>
        </section>
      )}
    </div>
  );
}
