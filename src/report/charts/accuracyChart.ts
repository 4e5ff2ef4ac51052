/** Accuracy of every head beside the central control: a dot with its interval per head, a line at the control. */
import { scaleLinear } from "d3-scale";
import { percent, points } from "../format.ts";
import { el, type Markup } from "../markup.ts";
import type { DataSetReport, ReportData } from "../reportData.ts";
import { wilsonInterval } from "../statistics.ts";
import { bottomAxis, type ChartOptions, capital, figure, isNarrow, label, line, type RowColumn, rows, tip, wideWidth } from "./frame.ts";
import { findHead, headMark, inHeadOrder } from "./headStyles.ts";

/**
 * Dots rather than bars, so that the axis may leave out the empty part below all accuracies.
 * @returns an `svg` element
 */
export function accuracyChart(
  data: Pick<ReportData, "heads" | "mainHead"> & { readonly dataSet: Pick<DataSetReport, "testCount"> },
  options: ChartOptions = {},
): string {
  const { width = wideWidth, samples = "test" } = options;
  const narrow = isNarrow(width);
  const heads = inHeadOrder(data.heads);
  const central = findHead(heads, "central");
  const intervals = heads.map((head) => wilsonInterval(head.accuracy, data.dataSet.testCount));
  const columns: RowColumn[] = [{ header: "accuracy", values: heads.map((head) => percent(head.accuracy)) }];
  if (central !== undefined && heads.length > 1 && !narrow)
    columns.push({
      header: "points to central",
      values: heads.map((head) => (head === central ? "\u2013" : points(head.accuracy - central.accuracy))),
    });
  const frame = rows({ width, labels: heads.map((head) => (narrow ? head.id : head.label)), columns, rowHeight: 32, top: 30, gap: 16 });

  const low = Math.min(...intervals.map((each) => each.low));
  const high = Math.max(...intervals.map((each) => each.high));
  const from = Math.max(0, Math.floor(low * 20 - 0.2) / 20);
  const to = Math.min(1, Math.ceil(high * 20 + 0.2) / 20);
  const x = scaleLinear([from, to], [frame.left, frame.right]);

  const marks: Markup[] = heads.map((head, row) => {
    const interval = intervals[row]!;
    const y = frame.middle(row);
    const words = `${head.label}: ${percent(head.accuracy)}, 95 % interval ${percent(interval.low)} to ${percent(interval.high)}`;
    return el(
      "g",
      {},
      tip(words),
      line(x(interval.low), y, x(interval.high), y, "whisker"),
      headMark(head.id, x(head.accuracy), y, head.id === data.mainHead),
    );
  });
  const reference =
    central !== undefined && heads.length > 1
      ? [
          line(x(central.accuracy), frame.top - 4, x(central.accuracy), frame.bottom, "reference"),
          label(x(central.accuracy), frame.top - 9, "central", {
            class: "tick",
            anchor: x(central.accuracy) > frame.right - 24 ? "end" : "middle",
          }),
        ]
      : [];
  return figure(
    {
      id: "accuracy",
      title: `${capital(samples)} accuracy of every head and control`,
      description: `Horizontal axis: ${samples} accuracy from ${percent(from)} to ${percent(to)}. ${heads.map((head) => `${head.label}: ${percent(head.accuracy)}`).join("; ")}.`,
      width,
      height: frame.bottom + 40,
    },
    bottomAxis(x, {
      top: frame.top,
      bottom: frame.bottom,
      ticks: narrow ? 4 : 8,
      print: (v) => String(Math.round(v * 1000) / 10),
      title: narrow ? `${samples} accuracy, %` : `${samples} accuracy, % (the axis does not start at zero)`,
    }),
    reference,
    marks,
    frame.markup,
  );
}
