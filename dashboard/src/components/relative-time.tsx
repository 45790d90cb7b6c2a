import { useNow } from "../query";
import { ago, exact } from "../time";

/** Relative time; the exact time on hover and in the markup. */
export function RelativeTime({ at }: { at: string }) {
  const now = useNow(30_000);
  return (
    <time dateTime={at} title={exact(at)}>
      {ago(at, now)}
    </time>
  );
}
