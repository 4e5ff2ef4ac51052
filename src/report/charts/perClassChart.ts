/** Accuracy of each class under every head: a row per class, a mark per head. */
import { scaleLinear } from "d3-scale";
import { percent } from "../format.ts";
import { el } from "../markup.ts";
import type { DataSetReport, ReportData } from "../reportData.ts";
import { rowSums, wilsonInterval } from "../statistics.ts";
import { bottomAxis, type ChartOptions, capital, figure, isNarrow, legend, line, rows, tip, wideWidth } from "./frame.ts";
import { findHead, headMark, inHeadOrder } from "./headStyles.ts";

/**
 * Classes are sorted by the main head's accuracy, so that the hard ones stand together at the bottom.
 * The whisker is the main head's 95 % interval.
 * @returns an `svg` element; the empty string when no head has accuracies by class
 */
export function perClassChart(
  data: Pick<ReportData, "heads" | "mainHead"> & { readonly dataSet: Pick<DataSetReport, "classes"> },
  options: ChartOptions = {},
): string {
  const { width = wideWidth, samples = "test" } = options;
  const heads = inHeadOrder(data.heads).filter((head) => head.perClassAccuracy !== undefined);
  const main = findHead(heads, data.mainHead) ?? heads[0];
  if (main === undefined) return "";
  const accuracies = main.perClassAccuracy ?? [];
  const totals = main.confusion === undefined ? [] : rowSums(main.confusion);
  const { classes } = data.dataSet;
  const order = classes.map((_, id) => id).sort((a, b) => (accuracies[b] ?? -1) - (accuracies[a] ?? -1) || a - b);

  const key = legend(
    heads.map((head) => ({ label: head.label, sample: headMark(head.id, 7, 6, head === main) })),
    { x: 0, y: 4, width },
  );
  const frame = rows({
    width,
    labels: order.map((id) => classes[id] ?? ""),
    columns: [{ header: main.id, values: order.map((id) => printShare(accuracies[id])) }],
    rowHeight: classes.length > 20 ? 16 : 24,
    top: key.height + 30,
    gap: 14,
  });
  const all = heads.flatMap((head) => (head.perClassAccuracy ?? []).filter((value) => value !== null));
  const from = Math.max(0, Math.floor(Math.min(1, ...all) * 10 - 0.3) / 10);
  const x = scaleLinear([from, 1], [frame.left, frame.right]);

  return figure(
    {
      id: "perclass",
      title: `${capital(samples)} accuracy by class`,
      description: `A row per class, sorted by the accuracy of ${main.label}, which goes from ${printShare(accuracies[order[0] ?? 0])} (${classes[order[0] ?? 0]}) to ${printShare(accuracies[order.at(-1) ?? 0])} (${classes[order.at(-1) ?? 0]}).`,
      width,
      height: frame.bottom + 40,
    },
    key.markup,
    bottomAxis(x, {
      top: frame.top,
      bottom: frame.bottom,
      ticks: isNarrow(width) ? 4 : 8,
      print: (v) => String(Math.round(v * 100)),
      title: `${samples} accuracy, %${from > 0 && !isNarrow(width) ? " (the axis does not start at zero)" : ""}`,
    }),
    order.map((id, row) => {
      const y = frame.middle(row);
      const name = classes[id] ?? "";
      const share = accuracies[id];
      const total = totals[id];
      const interval = typeof share === "number" && total !== undefined ? wilsonInterval(share, total) : undefined;
      return el(
        "g",
        {},
        line(frame.left, y, frame.right, y, "grid"),
        interval !== undefined && line(x(Math.max(from, interval.low)), y, x(interval.high), y, "whisker"),
        // The main head is drawn last, on top.
        [...heads.filter((head) => head !== main), main].map((head) => {
          const value = head.perClassAccuracy?.[id];
          return (
            typeof value === "number" && headMark(head.id, x(value), y, head === main, tip(`${name}, ${head.label}: ${percent(value)}`))
          );
        }),
      );
    }),
    frame.markup,
  );
}

function printShare(value: number | null | undefined): string {
  return typeof value === "number" ? percent(value) : "\u2013";
}
