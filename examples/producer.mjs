// Publish one workflow completion over HTTP, with Node 18 or later and no packages: node examples/producer.mjs

const { STREAM_DETECTOR_BASE_URL: base = "http://127.0.0.1:8080", STREAM_DETECTOR_API_TOKEN: token = "" } = process.env;
const now = new Date();
const event = {
  execution_id: `nightly-${now.toISOString().slice(0, 10)}`,
  workflow_id: "nightly",
  status: "success",
  started_at: new Date(now - 93_000).toISOString(),
  finished_at: now.toISOString(),
};
const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
const response = await fetch(`${base}/api/v1/events`, { method: "POST", headers, body: JSON.stringify(event) });
if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
console.log("published", event.execution_id);
