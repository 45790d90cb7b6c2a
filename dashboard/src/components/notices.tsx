/** What stands in for content: nothing found, an error, no answer, a token wanted. */

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { hasToken, keepToken, openSession, type ApiError, type Failure } from "../api";
import { startLive } from "../live";
import { showToast } from "../toast";
import { Icon } from "./badges";
import { RelativeTime } from "./relative-time";

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
export function ErrorNotice({ error, reload, alone = false }: { error: ApiError; reload: () => void; alone?: boolean }) {
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
export function StaleBanner({ error, at, reload }: { error: ApiError; at: number; reload: () => void }) {
  return (
    <div class="banner" role="status">
      <span>
        {error.kind === "offline" ? "No connection to the server. " : `${error.message} `}
        Shown: what was loaded <RelativeTime at={new Date(at).toISOString()} />.
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
  const shown = useRef<HTMLPreElement>(null);
  // Over http browsers keep the clipboard from every host but this machine; then a person's own keys copy it.
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      if (shown.current !== null) getSelection()?.selectAllChildren(shown.current);
      showToast("The browser keeps its clipboard. The command is selected: copy it with Ctrl C or ⌘ C.", true);
      return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  return (
    <div class="command">
      <pre tabIndex={0} ref={shown}>
        <code>{text}</code>
      </pre>
      <button type="button" class="button small" onClick={() => void copy()}>
        <Icon name={copied ? "check" : "copy"} />
        <span aria-live="polite">{copied ? "Copied" : "Copy"}</span>
      </button>
    </div>
  );
}

export function TokenForm({ onEntered }: { onEntered: () => void }) {
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
