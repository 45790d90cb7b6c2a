import { anomalyAddress } from "../addresses";
import { neighbours } from "../anomalies";
import { useKeys } from "../keys";
import { go, lastList } from "../route";
import { Link } from "./link";
import { Icon, Unseen } from "./marks";

/** The way to the next and the previous of the list that one came from, by link and by the keys of the list. */
export function Neighbours({ id }: { id: string }) {
  const around = neighbours(id);
  const turn = (next: string | null | undefined) => {
    if (next != null) go(anomalyAddress(next), { replace: true });
  };
  useKeys({
    j: () => turn(around?.after),
    k: () => turn(around?.before),
    Escape: () => go(lastList()),
  });
  if (around === null || around.of < 2) return null;
  return (
    <nav class="neighbours" aria-label="In the list">
      <span class="quiet">
        {around.place} of {around.of}
      </span>
      <Turn id={around.before} icon="up" name="Previous" />
      <Turn id={around.after} icon="down" name="Next" />
    </nav>
  );
}

function Turn({ id, icon, name }: { id: string | null; icon: "up" | "down"; name: string }) {
  return id === null ? (
    <span class="icon-button small off">
      <Icon name={icon} />
    </span>
  ) : (
    <Link replace class="icon-button small" href={anomalyAddress(id)} title={`${name} (${icon === "up" ? "k" : "j"})`}>
      <Icon name={icon} />
      <Unseen>{name}</Unseen>
    </Link>
  );
}
