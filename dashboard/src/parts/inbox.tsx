import { useEffect, useRef, useState } from "preact/hooks";
import type { Message, Page } from "../api";
import { useAnswer } from "../load";
import { useRoute } from "../route";
import { anomalyAddress, Link } from "./link";
import { Icon, SeverityShape } from "./marks";
import { When } from "./when";

const POLL_MS = 15_000;
const SHOWN = new URLSearchParams({ limit: "30" });
const SEEN = "stream-detector.inbox-seen-at";

/** The bell with the count of messages this browser has not opened, and the latest messages under it. */
export function Inbox() {
  const [open, setOpen] = useState(false);
  const [seenAt, setSeenAt] = useState(() => localStorage.getItem(SEEN) ?? "");
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const { path, query } = useRoute();
  const { value } = useAnswer<Page<Message>>("/api/v1/inbox", SHOWN, POLL_MS);
  const items = value?.items ?? [];
  const unread = items.filter(({ at }) => Date.parse(at) > (Date.parse(seenAt) || 0)).length;
  const count = unread === items.length && value?.next != null ? `${unread}+` : String(unread);

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

  const toggle = () => {
    const newest = items[0]?.at;
    if (!open && newest !== undefined) {
      localStorage.setItem(SEEN, newest);
      setSeenAt(newest);
    }
    setOpen(!open);
  };

  return (
    <div class="inbox" ref={box}>
      <button
        ref={button}
        type="button"
        class="icon-button"
        aria-expanded={open}
        aria-controls="inbox"
        aria-label={unread === 0 ? "Inbox" : `Inbox, ${count} new`}
        onClick={toggle}
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
          <h2>Inbox</h2>
          {items.length === 0 ? (
            <p class="quiet">No messages. Alerts from severity “warning” on arrive here, unless set otherwise.</p>
          ) : (
            <ol>
              {items.map((message) => (
                <li key={message.id}>
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
      <span class="message-title">{title || body || "Message"}</span>
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
