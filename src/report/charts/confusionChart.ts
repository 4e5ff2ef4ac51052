/** Confusion matrix of one head: what each class was taken for. */
import { percent } from "../format.ts";
import { el, type Markup } from "../markup.ts";
import type { DataSetReport, HeadReport } from "../reportData.ts";
import { rowSums } from "../statistics.ts";
import { type ChartOptions, figure, label, tip, wideWidth } from "./frame.ts";
import { type Grid, grid } from "./grid.ts";

/**
 * Shade = share of the true class's samples; right answers (the diagonal) and wrong ones have a colour each.
 * Counts stand in the cells while these are large enough; empty cells are left blank.
 * @returns an `svg` element; the empty string when the head has no confusion matrix
 */
export function confusionChart(
  data: { readonly dataSet: Pick<DataSetReport, "classes"> },
  head: HeadReport,
  options: ChartOptions = {},
): string {
  const { confusion } = head;
  if (confusion === undefined) return "";
  const { classes } = data.dataSet;
  const frame = grid({
    width: options.width ?? wideWidth,
    rowLabels: classes,
    columnLabels: classes,
    rightSpace: 8,
    topSpace: 22,
    tallestRow: 44,
  });
  const { left, top, cellWidth, cellHeight } = frame;
  const totals = rowSums(confusion);
  const numbers = cellWidth >= 24;

  const cells: Markup[] = [];
  confusion.forEach((row, truth) => {
    row.forEach((value, predicted) => {
      if (value === 0) return;
      const share = value / (totals[truth] ?? 1);
      const right = truth === predicted;
      const opacity = shade(share, right);
      const x = left + predicted * cellWidth;
      const y = top + truth * cellHeight;
      const words = right
        ? `${classes[truth]}: ${value} of ${totals[truth]} right (${percent(share)})`
        : `${classes[truth]} taken for ${classes[predicted]}: ${value} of ${totals[truth]} (${percent(share)})`;
      cells.push(
        el(
          "g",
          {},
          tip(words),
          el("rect", { x, y, width: cellWidth, height: cellHeight, class: right ? "f-right" : "f-wrong", "fill-opacity": opacity }),
          numbers &&
            label(x + cellWidth / 2, y + cellHeight / 2 + 4, String(value), {
              class: cellClass(opacity, right),
              anchor: "middle",
            }),
        ),
      );
    });
  });

  return figure(
    {
      id: `confusion-${head.id}`,
      title: `Confusion matrix of ${head.label}`,
      description: `Rows: true class. Columns: predicted class. ${percent(head.accuracy)} of the ${options.samples ?? "test"} samples lie on the diagonal.`,
      width: frame.width,
      height: frame.bottom + 8,
      fixed: frame.fixed,
    },
    label((left + frame.right) / 2, 12, "predicted class", { class: "tick", anchor: "middle" }),
    el(
      "text",
      { transform: `translate(11 ${Math.round((top + frame.bottom) / 2)}) rotate(-90)`, class: "tick", "text-anchor": "middle" },
      "true class",
    ),
    el("rect", { x: left, y: top, width: frame.right - left, height: frame.bottom - top, class: "plane" }),
    cells,
    rules(frame, classes.length),
    frame.markup,
  );
}

/** Square root for wrong answers: one in a hundred must still be seen. */
function shade(share: number, right: boolean): number {
  return Math.max(0.04, right ? 0.9 * share : Math.min(0.95, Math.sqrt(share) * 1.2));
}

/** Strong shades need another colour of text on them; which, the style sheet knows for light and dark. */
function cellClass(opacity: number, right: boolean): string {
  if (opacity <= 0.65) return "cell";
  return right ? "cell on" : "cell on-wrong";
}

/** Lines between the cells, every tenth a little stronger when there are many. */
function rules(frame: Grid, count: number): Markup {
  const { right, top, bottom, cellWidth, cellHeight } = frame;
  const left = Math.round(frame.left * 100) / 100;
  let fine = "";
  let strong = "";
  for (let i = 0; i <= count; i++) {
    const path = `M${left} ${Math.round(top + i * cellHeight)}H${Math.round(right)}M${Math.round((left + i * cellWidth) * 100) / 100} ${Math.round(top)}V${Math.round(bottom)}`;
    if (count > 20 && i % 10 === 0) strong += path;
    else fine += path;
  }
  return el("g", {}, el("path", { d: fine, class: "grid" }), strong !== "" && el("path", { d: strong, class: "axis" }));
}
