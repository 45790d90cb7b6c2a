import { useNow } from "../load";
import { ago, exact } from "../times";

/** How long ago; the exact instant on hover and for machines. */
export function When({ at }: { at: string }) {
  const now = useNow(30_000);
  return (
    <time dateTime={at} title={exact(at)}>
      {ago(at, now)}
    </time>
  );
}
