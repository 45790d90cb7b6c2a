import type { ComponentChildren } from "preact";

export interface Column<T> {
  name: string;
  /** Right-aligned, for numbers. */
  right?: boolean;
  show: (item: T) => ComponentChildren;
}

/** A table that becomes cards on a narrow screen, each cell labelled with its column. The first cell names the row. */
export function Table<T>({ label, items, columns, id }: { label: string; items: readonly T[]; columns: readonly Column<T>[]; id: (item: T) => string }) {
  return (
    <table class="table" role="table" aria-label={label}>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(({ name, right }) => (
            <th key={name} role="columnheader" scope="col" class={right === true ? "right" : ""}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {items.map((item) => (
          <tr role="row" key={id(item)} data-id={id(item)}>
            {columns.map(({ name, right, show }, index) => (
              <td key={name} role="cell" class={index === 0 ? "first" : right === true ? "right" : ""} data-name={name}>
                {show(item)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
