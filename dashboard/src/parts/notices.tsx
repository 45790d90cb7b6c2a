/** What stands in for content: nothing yet, nothing found, an error, no answer, a token wanted. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { hasToken, keepToken, openSession, type ApiError, type Failure } from "../api";
import { startLive } from "../live";
import { Icon } from "./marks";
import { When } from "./when";

/** `alone`: it is the whole page, so its title is the page's heading. */
export function Notice({ title, alone = false, children }: { title: string; alone?: boolean; children: ComponentChildren }) {
  return (
    <div class="notice" role="status">
      {alone ? <h1 tabIndex={-1}>{title}</h1> : <h2>{title}</h2>}
      {children}
    </div>
  );
}

const FAILURES: Partial<Record<Failure, [string, string]>> = {
  offline: ["No connection to the server", "Is the api role running? This page tries again every few seconds."],
  forbidden: ["Not allowed", "Your role may not see this. Whoever runs this installation can make a token of another role."],
};

/** A failure where nothing older can be shown. */
export function Failed({ error, reload, alone = false }: { error: ApiError; reload: () => void; alone?: boolean }) {
  const [title, next] = FAILURES[error.kind] ?? ["This could not be loaded", "The server's log says more."];
  return (
    <Notice title={title} alone={alone}>
      <p>{error.message}</p>
      <p class="quiet">{next}</p>
      <button type="button" class="button" onClick={reload}>
        Try again
      </button>
    </Notice>
  );
}

/** A failure while older content stays on the page. */
export function Stale({ error, at, reload }: { error: ApiError; at: number; reload: () => void }) {
  return (
    <div class="banner" role="status">
      <span>
        {error.kind === "offline" ? "No connection to the server. " : `${error.message} `}
        Shown: what was loaded <When at={new Date(at).toISOString()} />.
      </span>
      <button type="button" class="button small" onClick={reload}>
        Try again
      </button>
    </div>
  );
}

/** A command to run in a terminal, with a button that copies it. */
export function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    void navigator.clipboard.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    });
  };
  return (
    <div class="command">
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" class="button small" onClick={copy}>
        <Icon name={copied ? "check" : "copy"} />
        <span aria-live="polite">{copied ? "Copied" : "Copy"}</span>
      </button>
    </div>
  );
}

/** Three failures in a row, finished in the last seconds: the shortest way to a first anomaly. */
function firstEvents(nowMs: number): string {
  const lines = [3, 2, 1].map((n) => {
    const at = (ms: number) => new Date(nowMs - ms).toISOString();
    return JSON.stringify({
      execution_id: `hello-${Math.trunc(nowMs / 1000) - n}`,
      workflow_id: "hello",
      status: "failure",
      started_at: at(n * 1000 + 900),
      finished_at: at(n * 1000),
    });
  });
  return `cat > hello.jsonl <<'END'\n${lines.join("\n")}\nEND\nstream-detector publish hello.jsonl`;
}

export function NothingYet({ title = "No anomalies yet" }: { title?: string }) {
  const [command] = useState(() => firstEvents(Date.now()));
  return (
    <Notice title={title}>
      <p>
        Either all is well, or no event has arrived. Send the first: this publishes a workflow that fails three times in
        a row, which is an anomaly. It appears here by itself.
      </p>
      <Command text={command} />
      <p class="quiet">
        Where STREAM_DETECTOR_BROKER is not set, add <code>--broker</code> with the address that{" "}
        <code>stream-detector up</code> printed as its broker.
      </p>
    </Notice>
  );
}

export function TokenWanted({ onEntered }: { onEntered: () => void }) {
  const [token, setToken] = useState("");
  const [refused] = useState(hasToken);
  return (
    <form
      class="notice token"
      onSubmit={(event) => {
        event.preventDefault();
        if (token.trim() === "") return;
        keepToken(token.trim());
        void openSession().then(startLive);
        onEntered();
      }}
    >
      <h1>A token is needed</h1>
      <p>
        {refused ? "The server refused this token. " : ""}Open the one-time link that <code>stream-detector up</code> or{" "}
        <code>stream-detector token link</code> prints, or enter a token. It is changed into a session of this browser and not kept.
      </p>
      <label>
        Token
        <input
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="button primary">
        Continue
      </button>
    </form>
  );
}
