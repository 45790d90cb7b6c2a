import { useEffect, useState } from "preact/hooks";
import { useLive } from "../live";

const WORDS = {
  live: ["Live", "New anomalies appear by themselves"],
  connecting: ["Connecting", "Connecting to the live stream"],
  away: ["Not live", "The live stream is away; the page asks every few seconds"],
} as const;
const MARKED_MS = 4_000;

/** A calm mark: live or not, and for some seconds how many came. */
export function LiveIndicator() {
  const { state, recent } = useLive();
  const newest = recent[0]?.id;
  const [marked, setMarked] = useState(false);
  useEffect(() => {
    if (newest === undefined) return undefined;
    setMarked(true);
    const timer = setTimeout(() => setMarked(false), MARKED_MS);
    return () => clearTimeout(timer);
  }, [newest]);
  const [word, title] = WORDS[state];
  return (
    <span class={`live-mark ${state === "live" ? "is-live" : ""} ${marked ? "marked" : ""}`} title={title}>
      <span>{word}</span>
    </span>
  );
}
