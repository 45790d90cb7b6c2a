import { render } from "preact";
import { App } from "./app";
import { startRouting } from "./route";
import "./style.css";

startRouting();
const host = document.getElementById("app");
if (host !== null) render(<App />, host);
