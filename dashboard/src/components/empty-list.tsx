import { Link } from "./link";
import { GettingStarted } from "./getting-started";
import { Notice } from "./notices";

/** Nothing with these filters, or nothing at all: two different things to do next. */
export function Nothing({ what, filtered, all, kind }: { what: string; filtered: boolean; all: string; kind: "workflow" | "score" }) {
  if (filtered) {
    return (
      <Notice title="Nothing matches these filters">
        <Link class="button" href={all}>
          Clear filters
        </Link>
      </Notice>
    );
  }
  return kind === "workflow" ? (
    <GettingStarted title={`No ${what} yet`} />
  ) : (
    <Notice title={`No ${what} yet`}>
      <p>They appear here by themselves when the first score arrives on the topic of scores.</p>
    </Notice>
  );
}
