import type { ComponentChildren } from "preact";
import { follow } from "../route";

interface Props {
  href: string;
  class?: string;
  title?: string;
  "aria-current"?: "page" | "true" | undefined;
  children: ComponentChildren;
}

/** A link within the page: no reload, yet a true link for new tabs and copying. */
export function Link({ href, children, ...rest }: Props) {
  return (
    <a href={href} onClick={(event) => follow(event)} {...rest}>
      {children}
    </a>
  );
}

/** The address of one anomaly's page. */
export function anomalyAddress(id: string): string {
  return `/anomalies/${encodeURIComponent(id)}`;
}

/** Text whose http(s) addresses can be followed. Everything else stays text. */
export function WithLinks({ text }: { text: string }) {
  return text.split(/(https?:\/\/[^\s<>"']+)/i).map((part, index) => (index % 2 === 1 ? <OutsideLink key={index} href={part} /> : part));
}

/** A link that an event brought along; anything but http and https is shown as text. */
export function OutsideLink({ href }: { href: string }) {
  return /^https?:\/\//i.test(href) ? (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {href}
    </a>
  ) : (
    <span>{href}</span>
  );
}
