import { Link } from "./link";
import { GettingStarted } from "./getting-started";
import { Notice } from "./notices";

/** No match for the filters, or no data at all: each has its own next step. */
export function Nothing({ what, filtered, all, kind }: { what: string; filtered: boolean; all: string; kind: "workflow" | "score" }) {
  if (filtered) {
    return (
      <Notice title="No matches for these filters">
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
      <p>Entities appear here when the first event arrives on the scores topic.</p>
    </Notice>
  );
}
