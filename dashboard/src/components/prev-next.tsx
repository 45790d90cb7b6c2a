import { anomalyPath } from "../paths";
import { positionInList } from "../anomalies";
import { useHotkeys } from "../hotkeys";
import { go, lastList } from "../route";
import { Link } from "./link";
import { Icon, VisuallyHidden } from "./badges";

/** Links and hotkeys to the previous and next anomaly of the list that was open before. */
export function PrevNext({ id }: { id: string }) {
  const around = positionInList(id);
  const turn = (next: string | null | undefined) => {
    if (next != null) go(anomalyPath(next), { replace: true });
  };
  useHotkeys({
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
      <PageTurn id={around.before} icon="up" name="Previous" />
      <PageTurn id={around.after} icon="down" name="Next" />
    </nav>
  );
}

function PageTurn({ id, icon, name }: { id: string | null; icon: "up" | "down"; name: string }) {
  return id === null ? (
    <span class="icon-button small off">
      <Icon name={icon} />
    </span>
  ) : (
    <Link replace class="icon-button small" href={anomalyPath(id)} title={`${name} (${icon === "up" ? "k" : "j"})`}>
      <Icon name={icon} />
      <VisuallyHidden>{name}</VisuallyHidden>
    </Link>
  );
}
