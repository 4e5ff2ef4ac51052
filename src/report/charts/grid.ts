/** Geometry of a chart that is a matrix with named rows and columns: how large its cells are, and where its labels go. */
import type { Markup } from "../markup.ts";
import { el } from "../markup.ts";
import { fitText, fontSize, isNarrow, label, textWidth, tip } from "./frame.ts";

/** From this many columns on, cells keep a fixed size and the picture scrolls rather than shrinks. */
export const manyColumns = 21;
const smallCell = 11;
const largestCell = 76;

export interface GridSpec {
  readonly width: number;
  readonly rowLabels: readonly string[];
  readonly columnLabels: readonly string[];
  /** Kept free at the right of the cells, for further columns of numbers. */
  readonly rightSpace: number;
  /** Kept free above the column labels, for a title of the axis. */
  readonly topSpace: number;
  /** Height of a row; as high as a cell is wide when absent. */
  readonly rowHeight?: number;
  /** Limits the height that follows from the width. */
  readonly tallestRow?: number;
  /** At least so much room for the row labels, where something else stands in their place. */
  readonly leastLabelSpace?: number;
}

export interface Grid {
  /** Of the picture: that of the specification, or more when there are many columns. */
  readonly width: number;
  readonly fixed: boolean;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** Size of the labels' text. */
  readonly size: number;
  /** Row and column labels. */
  readonly markup: Markup[];
}

export function grid(spec: GridSpec): Grid {
  const { rowLabels, columnLabels, rightSpace } = spec;
  const fixed = columnLabels.length >= manyColumns;
  const size = fixed ? 10 : fontSize;
  const labelSpace = isNarrow(spec.width) && !fixed ? 84 : 150;
  const labelWidth = Math.min(labelSpace, Math.max(...rowLabels.map((text) => textWidth(text, size)), 0) + 2);
  const left = Math.ceil(Math.max(labelWidth, spec.leastLabelSpace ?? 0)) + 22;
  const free = spec.width - left - rightSpace;
  const cellWidth = fixed ? smallCell : Math.floor(Math.min(largestCell, free / columnLabels.length));
  const cellHeight = spec.rowHeight ?? Math.min(cellWidth, spec.tallestRow ?? cellWidth);
  const right = left + cellWidth * columnLabels.length;

  const widest = Math.max(...columnLabels.map((text) => textWidth(text, size)), 0);
  const upright = widest > cellWidth;
  const labelHeight = upright ? Math.ceil(Math.min(widest, 110)) : size;
  const top = spec.topSpace + labelHeight + 8;
  const bottom = top + cellHeight * rowLabels.length;

  const style = fixed ? "small" : undefined;
  const markup = rowLabels.map((text, row) => {
    const shown = fitText(text, labelWidth, size);
    return el(
      "text",
      { x: left - 6, y: top + (row + 0.5) * cellHeight + size * 0.36, "text-anchor": "end", class: style },
      shown !== text && tip(text),
      shown,
    );
  });
  columnLabels.forEach((text, column) => {
    const x = left + (column + 0.5) * cellWidth;
    if (!upright) {
      markup.push(label(x, top - 7, text, { anchor: "middle" }));
      return;
    }
    const shown = fitText(text, 110, size);
    markup.push(
      el(
        "text",
        { transform: `translate(${Math.round((x + size * 0.36) * 100) / 100} ${Math.round(top - 6)}) rotate(-90)`, class: style },
        shown !== text && tip(text),
        shown,
      ),
    );
  });
  return {
    width: fixed ? Math.max(spec.width, right + rightSpace) : spec.width,
    fixed,
    left,
    right,
    top,
    bottom,
    cellWidth,
    cellHeight,
    size,
    markup,
  };
}
