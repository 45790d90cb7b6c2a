import type { ActionKind } from "../api";
import { Icon } from "./badges";

const ACTION_LABELS = [
  ["acknowledge", "Acknowledge", "check", "a"],
  ["resolve", "Resolve", "flag", "r"],
  ["silence", "Silence", "silence", "s"],
] as const;

interface Props {
  count: number;
  act: (kind: ActionKind) => void;
  clear: () => void;
  /** Chooses all that match, also those not loaded yet; absent where all are chosen. */
  widen?: (() => void) | undefined;
}

/** Actions on everything that is chosen, at the foot of the window. */
export function BulkBar({ count, act, clear, widen }: Props) {
  return (
    <div class="bulk" role="toolbar" aria-label="Selected anomalies">
      <strong>{count.toLocaleString("en-GB")} selected</strong>
      {widen !== undefined && (
        <button type="button" class="link-button" onClick={widen}>
          Select all that match
        </button>
      )}
      {ACTION_LABELS.map(([kind, name, icon, key]) => (
        <button key={kind} type="button" class="button small" onClick={() => act(kind)}>
          <Icon name={icon} />
          {name}
          <kbd aria-hidden="true">{key}</kbd>
        </button>
      ))}
      <button type="button" class="icon-button" aria-label="Clear the selection" onClick={clear}>
        <Icon name="close" />
      </button>
    </div>
  );
}
