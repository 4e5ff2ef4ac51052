/** Tables of numbers: those under each chart, and the summary at the head of the page. */
import { el, type Markup } from "./markup.ts";

export interface Column {
  readonly header: string;
  /** True for columns of numbers: right-aligned. */
  readonly numeric?: boolean;
  /** True for a column that a phone's page leaves out. */
  readonly secondary?: boolean;
}

export interface TableRow {
  /** One per column; the first is the row's header. */
  readonly cells: readonly string[];
  /** Printed in bold. */
  readonly main?: boolean;
}

/** A table in a box that scrolls sideways when the page is too narrow. */
export function table(caption: string, columns: readonly Column[], body: readonly TableRow[]): Markup {
  const style = (index: number): string | undefined => {
    const column = columns[index];
    const names = [column?.numeric === true ? "n" : "", column?.secondary === true ? "wide-cell" : ""].filter((name) => name !== "");
    return names.length === 0 ? undefined : names.join(" ");
  };
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          columns.map((column, c) => el("th", { scope: "col", class: style(c) }, column.header)),
        ),
      ),
      el(
        "tbody",
        {},
        body.map((row) =>
          el(
            "tr",
            { class: row.main === true ? "main" : undefined },
            row.cells.map((cell, c) => (c === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: style(c) }, cell))),
          ),
        ),
      ),
    ),
  );
}

/** The same numbers as the chart above, folded away. */
export function dataTable(caption: string, columns: readonly Column[], body: readonly TableRow[]): Markup {
  return el("details", {}, el("summary", {}, "Numbers"), table(caption, columns, body));
}

/** Terms with their values; rows whose value is undefined are left out. */
export function list(entries: readonly (readonly [term: string, value: Markup | string | undefined])[]): Markup {
  return el(
    "dl",
    { class: "list" },
    entries.map(([term, value]) => value !== undefined && [el("dt", {}, term), el("dd", {}, value)]),
  );
}
