import type { Message } from "../api";
import { messagePath, markRead } from "../inbox-messages";
import { summaryOf } from "../format";
import { Link } from "./link";
import { Icon, SeverityShape, VisuallyHidden } from "./badges";
import { RelativeTime } from "./relative-time";

/** One message as a row; opening it marks it as read. `whole` also shows its summary. */
export function MessageRow({ message, whole = false }: { message: Message; whole?: boolean }) {
  const { severity, title, body, at, read } = message;
  const text = whole ? summaryOf(body ?? "", title ?? "") : "";
  const inside = (
    <>
      {severity != null && <SeverityShape severity={severity} />}
      <span class="message-title">
        {!read && <VisuallyHidden>Unread: </VisuallyHidden>}
        {title || body || "Message"}
        {text !== "" && <span class="message-body">{text}</span>}
      </span>
      <span class="message-when">
        <RelativeTime at={at} />
      </span>
    </>
  );
  const href = messagePath(message);
  return (
    <li class={read ? "read" : ""} data-id={message.id}>
      {href === null ? (
        <div class="message">{inside}</div>
      ) : (
        <span class="message-link" onClickCapture={() => markRead(message)}>
          <Link class="message" href={href}>
            {inside}
          </Link>
        </span>
      )}
      {whole && !read && (
        <button type="button" class="icon-button small" title="Mark as read" aria-label={`Mark as read: ${title ?? ""}`} onClick={() => markRead(message)}>
          <Icon name="check" />
        </button>
      )}
    </li>
  );
}
