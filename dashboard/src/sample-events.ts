/** The shortest way to a first anomaly: three failures in a row, finished in the last seconds. Pure. */

interface SampleEvent {
  execution_id: string;
  workflow_id: string;
  status: "failure";
  started_at: string;
  finished_at: string;
}

export function sampleEvents(nowMs: number): SampleEvent[] {
  return [3, 2, 1].map((n) => {
    const at = (ms: number) => new Date(nowMs - ms).toISOString();
    return {
      execution_id: `hello-${Math.trunc(nowMs / 1000) - n}`,
      workflow_id: "hello",
      status: "failure",
      started_at: at(n * 1000 + 900),
      finished_at: at(n * 1000),
    };
  });
}

/** The same as a command for a terminal. */
export function sampleCommand(nowMs: number): string {
  const lines = sampleEvents(nowMs).map((event) => JSON.stringify(event));
  return `cat > hello.jsonl <<'END'\n${lines.join("\n")}\nEND\nstream-detector publish hello.jsonl`;
}
