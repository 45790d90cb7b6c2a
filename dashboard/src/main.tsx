import { render } from "preact";
import { openSession } from "./api";
import { App } from "./app";
import { startLive } from "./live";
import { startRouting } from "./route";
import "./styles/index.css";

startRouting();
void openSession().then(startLive);
const host = document.getElementById("app");
if (host !== null) {
  host.replaceChildren(); // the frame that index.html shows until here
  render(<App />, host);
}
