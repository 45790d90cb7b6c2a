import type { ComponentChildren } from "preact";

/** One line of a list of names and values. `own`: the name is the user's own (a label), so it is shown as it is. */
export function Fact({ name, own = false, children }: { name: string; own?: boolean; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt class={own ? "own" : ""}>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
