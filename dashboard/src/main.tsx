import { render } from "preact";
import { openSession } from "./api";
import { App } from "./app";
import { startRouting } from "./route";
import "./style.css";
import "./pages.css";

startRouting();
void openSession();
const host = document.getElementById("app");
if (host !== null) render(<App />, host);
