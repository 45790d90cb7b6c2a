import { useMemo, useState } from "preact/hooks";
import { WHY, type Explanation as Story } from "../api";
import { useQuery } from "../query";
import { Section } from "./page-frame";

/** The whole story in plain words, asked for when one wants it: every gate, then every stage of the message. */
export function Explanation({ anomaly }: { anomaly: string }) {
  const [open, setOpen] = useState(false);
  const { value, error } = useQuery<Story>(open ? WHY : null, useMemo(() => new URLSearchParams({ anomaly }), [anomaly]), 300_000);
  return (
    <Section
      title="Why was I (not) told?"
      aside={
        <button type="button" class="button small" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Hide" : "Tell me"}
        </button>
      }
    >
      {!open ? (
        <p class="quiet">Every gate and value in order, then route, silence, group, throttle and channel.</p>
      ) : value !== null ? (
        <>
          {value.approximate !== null && <p class="quiet">Told from what is stored, which may differ: {value.approximate}.</p>}
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
