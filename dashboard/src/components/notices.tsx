/** In place of content: an empty list, an error, no connection, a token needed. */

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
  offline: ["No connection to the server", "Check that the api role is running. This page retries every few seconds."],
  forbidden: ["Not allowed", "Your role does not permit this. An administrator can create a token with another role."],
};

/** A failure with no earlier data to show. */
export function ErrorNotice({ error, reload, alone = false }: { error: ApiError; reload: () => void; alone?: boolean }) {
  const [title, next] = FAILURES[error.kind] ?? ["Loading failed", "See the server's log for details."];
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

/** A failure while earlier data stays on the page. */
export function StaleBanner({ error, at, reload }: { error: ApiError; at: number; reload: () => void }) {
  return (
    <div class="banner" role="status">
      <span>
        {error.kind === "offline" ? "No connection to the server. " : `${error.message} `}
        Showing data loaded <RelativeTime at={new Date(at).toISOString()} />.
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
  // Browsers block the clipboard over http except on localhost; select the text so that the user can copy it.
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      if (shown.current !== null) getSelection()?.selectAllChildren(shown.current);
      showToast("The browser blocked clipboard access. The command is selected: copy it with Ctrl+C or ⌘C.", true);
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
      <h1>Sign in</h1>
      <p>
        {refused ? "The server rejected this token. " : ""}Open the one-time link that <code>stream-detector up</code> or{" "}
        <code>stream-detector token link</code> prints, or enter a token. It is exchanged for a browser session and not stored.
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
