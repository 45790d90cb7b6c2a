import type { ComponentChildren } from "preact";
import { linkify } from "../linkify";
import { follow } from "../route";

interface Props {
  href: string;
  class?: string;
  title?: string;
  "aria-current"?: "page" | "true" | undefined;
  /** Takes the place of this page in the history: back then goes to where one was before. */
  replace?: boolean;
  children: ComponentChildren;
}

/** A link within the page: no reload, yet a true link for new tabs and copying. */
export function Link({ href, replace = false, children, ...rest }: Props) {
  return (
    <a href={href} onClick={(event) => follow(event, { replace })} {...rest}>
      {children}
    </a>
  );
}

/** A link, or plain content where there is no page to link to. */
export function MaybeLink({ href, children }: { href: string | undefined; children: ComponentChildren }) {
  return href === undefined ? <span>{children}</span> : <Link href={href}>{children}</Link>;
}

const NOTHING_KNOWN: ReadonlyMap<string, string> = new Map();

/** Text whose http(s) addresses, and executions and runs of `known`, can be followed. Everything else stays text. */
export function Linkified({ text, known = NOTHING_KNOWN }: { text: string; known?: ReadonlyMap<string, string> }) {
  return (
    <>
      {linkify(text, known).map(({ text: part, href }, index) =>
        href === undefined ? (
          part
        ) : href.startsWith("/") ? (
          <Link key={index} href={href}>
            {part}
          </Link>
        ) : (
          <OutsideLink key={index} href={href}>
            {part}
          </OutsideLink>
        ),
      )}
    </>
  );
}

/** A link that an event brought along; anything but http and https is shown as text. */
export function OutsideLink({ href, class: style, children = href }: { href: string; class?: string; children?: ComponentChildren }) {
  return isOutside(href) ? (
    <a href={href} class={style} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  ) : (
    <span>{children}</span>
  );
}

export function isOutside(href: string): boolean {
  return /^https?:\/\//i.test(href);
}
