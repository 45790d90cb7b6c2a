import { useMemo } from "preact/hooks";
import { anomalyPath } from "../paths";
import { ANOMALIES, type Anomaly, type AnomalyPage } from "../api";
import { listPath, defaultFilters } from "../filters";
import { useQuery } from "../query";
import { shortDescription } from "../format";
import { stateKey } from "../state-keys";
import { typeName } from "../vocabulary";
import { Section } from "./page-frame";
import { Link } from "./link";
import { SeverityShape, VariantChip } from "./badges";
import { RelativeTime } from "./relative-time";

const POLL_MS = 30_000;
const MAX_SHOWN = 6;

/** Anomalies of other incidents of the same score run or workflow; the timeline has those of its own incident. */
export function RelatedAnomalies({ anomaly }: { anomaly: Anomaly }) {
  const { run_id: run, entity_id: id, entity_kind: kind, incident_id: incident } = anomaly;
  const key = stateKey(kind, id); // of all variants
  const ofRun = run != null;
  const query = useMemo(() => {
    const asked = new URLSearchParams({ limit: "30" });
    if (run != null) asked.set("run", run);
    else asked.set("entity", key);
    return asked;
  }, [run, key]);
  const { value } = useQuery<AnomalyPage>(ANOMALIES, query, POLL_MS);
  const others = value?.items.filter((other) => other.incident_id !== incident).slice(0, MAX_SHOWN) ?? [];
  if (others.length === 0) return null;
  const all = { ...defaultFilters("all"), ...(ofRun ? { run } : { entity: key }) };
  return (
    <Section title={ofRun ? "Also in this score run" : "Related anomalies"} aside={<Link href={listPath(all)}>All</Link>}>
      <ol class="related">
        {others.map((other) => (
          <li key={other.id}>
            <Link class="message" href={anomalyPath(other.id)}>
              <SeverityShape severity={other.severity} />
              <span class="message-title">
                <span class="row-type">{ofRun ? other.entity_name || other.entity_id : typeName(other.anomaly_type)}</span>
                {other.variant !== anomaly.variant && <VariantChip variant={other.variant} />}
                <span class="quiet">{shortDescription(other)}</span>
              </span>
              <span class="message-when">
                <RelativeTime at={other.detected_at} />
              </span>
            </Link>
          </li>
        ))}
      </ol>
    </Section>
  );
}
