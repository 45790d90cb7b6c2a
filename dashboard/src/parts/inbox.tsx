import { useEffect, useRef, useState } from "preact/hooks";
import { INBOX, send, withId, type InboxPage, type Message } from "../api";
import { useAnswer } from "../load";
import { useRoute } from "../route";
import { anomalyAddress, Link } from "./link";
import { Icon, SeverityShape, Unseen } from "./marks";
import { When } from "./when";

const POLL_MS = 15_000;
const SHOWN = new URLSearchParams({ limit: "30" });
const MOST_COUNTED = 99;

/** The bell with the count of unread messages, and the latest messages under it. */
export function Inbox() {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const { path, query } = useRoute();
  const { value, reload } = useAnswer<InboxPage>(INBOX, SHOWN, POLL_MS);
  const items = value?.items ?? [];
  const unread = value?.unread ?? 0;
  const count = unread > MOST_COUNTED ? `${MOST_COUNTED}+` : String(unread);

  useEffect(() => setOpen(false), [path, query]);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: MouseEvent) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener("click", outside);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("click", outside);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);

  const markRead = (messages: Message[]) => {
    const marking = messages.filter(({ read }) => !read).map(({ id }) => send("POST", withId("/api/v1/inbox/{id}/read", id)));
    // A mark that fails is seen: the message stays unread.
    void Promise.allSettled(marking).then(reload);
  };

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
            {unread > 0 && (
              <button type="button" class="button small" onClick={() => markRead(items)}>
                Mark as read
              </button>
            )}
          </header>
          {items.length === 0 ? (
            <p class="quiet">No messages. Alerts from severity “warning” on arrive here, unless set otherwise.</p>
          ) : (
            <ol>
              {items.map((message) => (
                <li key={message.id} class={message.read ? "read" : ""} onClickCapture={() => markRead([message])}>
                  <Entry message={message} />
                </li>
              ))}
            </ol>
          )}
        </section>
      )}
    </div>
  );
}

function Entry({ message }: { message: Message }) {
  const { severity, title, body, at } = message;
  const inside = (
    <>
      {severity != null && <SeverityShape severity={severity} />}
      <span class="message-title">
        {!message.read && <Unseen>Unread: </Unseen>}
        {title || body || "Message"}
      </span>
      <span class="message-when">
        <When at={at} />
      </span>
    </>
  );
  const href = addressOfMessage(message);
  return href === null ? <div class="message">{inside}</div> : <Link class="message" href={href}>{inside}</Link>;
}

function addressOfMessage({ anomaly_id: anomaly, run_id: run }: Message): string | null {
  if (anomaly != null) return anomalyAddress(anomaly);
  return run == null ? null : `/anomalies?${new URLSearchParams({ run }).toString()}`;
}
