import { useNow } from "../query";
import { ago, exact } from "../time";

/** How long ago; the exact instant on hover and for machines. */
export function RelativeTime({ at }: { at: string }) {
  const now = useNow(30_000);
  return (
    <time dateTime={at} title={exact(at)}>
      {ago(at, now)}
    </time>
  );
}
