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
  /** Selects every match, including rows not loaded yet; absent if all are selected. */
  selectAllMatches?: (() => void) | undefined;
}

/** Actions on the selected rows, at the bottom of the window. */
export function BulkBar({ count, act, clear, selectAllMatches }: Props) {
  return (
    <div class="bulk" role="toolbar" aria-label="Selected anomalies">
      <strong>{count.toLocaleString("en-GB")} selected</strong>
      {selectAllMatches !== undefined && (
        <button type="button" class="link-button" onClick={selectAllMatches}>
          Select all matches
        </button>
      )}
      {ACTION_LABELS.map(([kind, name, icon, key]) => (
        <button key={kind} type="button" class="button small" onClick={() => act(kind)}>
          <Icon name={icon} />
          {name}
          <kbd aria-hidden="true">{key}</kbd>
        </button>
      ))}
      <button type="button" class="icon-button" aria-label="Clear selection" onClick={clear}>
        <Icon name="close" />
      </button>
    </div>
  );
}
