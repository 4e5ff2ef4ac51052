/** Accuracy of the global model after each settle pass, under H0 and H2. */
import { format } from "d3-format";
import { scaleLinear } from "d3-scale";
import { line as linePath } from "d3-shape";
import { percent } from "../format.ts";
import { el } from "../markup.ts";
import type { ReportData, SettlePassReport } from "../reportData.ts";
import { bottomAxis, type ChartOptions, figure, isNarrow, label, leftAxis, legend, line, tip, wideWidth } from "./frame.ts";
import { findHead, headMark } from "./headStyles.ts";

const styles = [
  { id: "H0", style: "series s3" },
  { id: "H2", style: "series s1" },
] as const;

/** A pass; without H2 where no sums were made in between. */
export type SettlePoint = Pick<SettlePassReport, "pass" | "H0"> & { readonly H2?: number };

/**
 * A line per head over the passes, pass 0 being the branches as they were trained alone; a dashed line at the central control.
 * @returns an `svg` element; the empty string when there were no settle passes
 */
export function settleChart(
  data: Pick<ReportData, "heads"> & { readonly settlePasses?: readonly SettlePoint[] },
  options: ChartOptions = {},
): string {
  const width = options.width ?? wideWidth;
  const passes = data.settlePasses ?? [];
  if (passes.length === 0) return "";
  const drawn = styles.flatMap(({ id, style }) => {
    const points = passes.flatMap((each) => (each[id] === undefined ? [] : [{ pass: each.pass, value: each[id] }]));
    return points.length > 0 ? [{ id, style, points }] : [];
  });
  const central = findHead(data.heads, "central")?.accuracy;
  const key = legend(
    drawn.map(({ id }) => ({ label: id, sample: headMark(id, 7, 6, false) })),
    { x: 0, y: 4, width },
  );
  const all = [...drawn.flatMap(({ points }) => points.map(({ value }) => value)), ...(central === undefined ? [] : [central])];
  const from = Math.max(0, Math.floor(Math.min(...all) * 50 - 0.2) / 50);
  const to = Math.min(1, Math.ceil(Math.max(...all) * 50 + 0.2) / 50);
  const [left, right, top] = [40, width - 14, key.height + 22];
  const bottom = top + (isNarrow(width) ? 190 : 240);
  const x = scaleLinear([passes[0]?.pass ?? 0, Math.max(1, passes.at(-1)?.pass ?? 1)], [left, right]);
  const y = scaleLinear([from, to], [bottom, top]);
  const whole = Math.min(passes.length - 1, isNarrow(width) ? 5 : 12);
  return figure(
    {
      id: "settle",
      title: "Accuracy after each settle pass",
      description: `Vertical axis: accuracy from ${percent(from)} to ${percent(to)}. ${passes.map(({ pass, H0, H2 }) => `Pass ${pass}: H0 ${percent(H0)}${H2 === undefined ? "" : `, H2 ${percent(H2)}`}`).join("; ")}.`,
      width,
      height: bottom + 40,
    },
    key.markup,
    label(left, top - 8, "accuracy, %", { class: "panel" }),
    leftAxis(y, { left, right, ticks: 5, print: (value) => format("~g")(Math.round(1000 * value) / 10) }),
    bottomAxis(x, {
      top,
      bottom,
      ticks: Math.max(1, whole),
      print: (value) => (Number.isInteger(value) ? String(value) : ""),
      title: "settle pass",
    }),
    central === undefined
      ? []
      : [line(left, y(central), right, y(central), "reference"), label(right, y(central) - 5, "central", { class: "tick", anchor: "end" })],
    drawn.map(({ id, style, points }) => {
      const draw = linePath<(typeof points)[number]>(
        (each) => x(each.pass),
        (each) => y(each.value),
      ).digits(2);
      return [
        el("path", { d: draw(points) ?? "", class: style }),
        points.map((each) =>
          headMark(id, x(each.pass), y(each.value), false, tip(`${id} after pass ${each.pass}: ${percent(each.value)}`)),
        ),
      ];
    }),
  );
}
