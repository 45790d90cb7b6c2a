import { useMemo, useState } from "preact/hooks";
import { WHY, type Explanation as Story } from "../api";
import { useQuery } from "../query";
import { Section } from "./page-frame";

/** Every detection gate and every notification stage in order, loaded on demand. */
export function Explanation({ anomaly }: { anomaly: string }) {
  const [open, setOpen] = useState(false);
  const { value, error } = useQuery<Story>(open ? WHY : null, useMemo(() => new URLSearchParams({ anomaly }), [anomaly]), 300_000);
  return (
    <Section
      title="Why was I (not) notified?"
      aside={
        <button type="button" class="button small" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Hide" : "Explain"}
        </button>
      }
    >
      {!open ? (
        <p class="quiet">Each detection gate with its values, then each notification stage: routing, silences, grouping, rate limit, delivery.</p>
      ) : value !== null ? (
        <>
          {value.approximate !== null && <p class="quiet">Reconstructed from stored data, which may differ: {value.approximate}.</p>}
          <ol class="steps">
            {value.sentences.map((sentence, index) => (
              <li key={index}>{sentence}</li>
            ))}
          </ol>
        </>
      ) : error !== null ? (
        <p class="quiet">{error.message}</p>
      ) : (
        <div class="skeleton" />
      )}
    </Section>
  );
}
