import { useEffect, useState } from "preact/hooks";
import { useLive } from "../live";

const WORDS = {
  live: ["Live", "New anomalies appear automatically"],
  connecting: ["Connecting", "Connecting to the live stream"],
  disconnected: ["Not live", "Live stream unavailable; the page polls every few seconds"],
} as const;
const HIGHLIGHT_MS = 4_000;

/** Whether the live stream is connected; highlighted for a few seconds when an anomaly arrives. */
export function LiveIndicator() {
  const { state, recent } = useLive();
  const newest = recent[0]?.id;
  const [marked, setMarked] = useState(false);
  useEffect(() => {
    if (newest === undefined) return undefined;
    setMarked(true);
    const timer = setTimeout(() => setMarked(false), HIGHLIGHT_MS);
    return () => clearTimeout(timer);
  }, [newest]);
  const [word, title] = WORDS[state];
  return (
    <span class={`live-mark ${state === "live" ? "is-live" : ""} ${marked ? "marked" : ""}`} title={title}>
      <span>{word}</span>
    </span>
  );
}
