import type { Anomaly } from "../api";
import { duration } from "../time";
import { compare, percent, spreadOfBaseline, threshold, zScore } from "../format";
import { Figure } from "./page-frame";

/** All metrics with their units. */
export function AnomalyMetrics({ anomaly }: { anomaly: Anomaly }) {
  const words = compare(anomaly);
  const { z_score: z, confidence, baseline_value: baseline, current_value: current, unit } = anomaly.metrics;
  const limit = threshold(anomaly);
  const times = unit === "s" && baseline > 0 && current > 0 ? `${(current / baseline).toPrecision(2)} times the baseline` : "";
  return (
    <dl class="numbers">
      <Figure name="Current" value={words.now} note={words.nowLabel} strong />
      <Figure name="Baseline" value={words.usual} note={[words.usualLabel, spreadOfBaseline(anomaly)].filter((part) => part !== null).join(" ")} />
      <Figure name="Deviation" value={words.change} note={times || (unit === "ratio" ? "percentage points" : "current − baseline")} />
      <Figure name="z-score" value={zScore(z)} note={z === null ? "not used by this rule" : "standard deviations"} />
      <Figure name="Confidence" value={percent(confidence)} note="how rare the reading is" />
      {limit !== null && <Figure name="Threshold" value={limit.value} note={limit.note} />}
      {anomaly.duration_s != null && <Figure name="Duration" value={duration(anomaly.duration_s)} note="opened to resolved" />}
    </dl>
  );
}
