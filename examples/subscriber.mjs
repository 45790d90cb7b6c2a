// Print each anomaly once, over HTTP: node examples/subscriber.mjs [FILE]        FILE stores the place reached.

import { existsSync, readFileSync, writeFileSync } from "node:fs";

const { STREAM_DETECTOR_BASE_URL: base = "http://127.0.0.1:8080", STREAM_DETECTOR_API_TOKEN: token = "" } = process.env;
const file = process.argv[2] ?? "last-anomaly.txt";
for (;;) {
  const place = existsSync(file) ? { "Last-Event-ID": readFileSync(file, "utf8") } : {};
  try {
    const response = await fetch(`${base}/api/v1/stream`, { headers: { Authorization: `Bearer ${token}`, ...place } });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const messages = (text + chunk).split("\n\n");
      text = messages.pop();
      for (const message of messages) {
        const { id, event, data } = Object.fromEntries(message.split("\n").map((line) => line.split(/: (.*)/s)));
        if (event === "anomaly") {
          const anomaly = JSON.parse(data);
          console.log(anomaly.severity, anomaly.anomaly_type, anomaly.description, anomaly.id);
        }
        if (id) writeFileSync(file, id);
      }
    }
  } catch (error) {
    console.error(error.message);
  }
  await new Promise((resolve) => setTimeout(resolve, 2_000));
}
