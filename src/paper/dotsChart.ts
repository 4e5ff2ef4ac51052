/** Methods one below the other, each a dot at its mean accuracy with its range over seeds, and a line at the central control. */
import { scaleLinear } from "d3-scale";
import { bottomAxis, figure, label, line, type RowColumn, rows, shapePath, tip, wideWidth } from "../report/charts/frame.ts";
import { percent, points } from "../report/format.ts";
import { el, type Markup } from "../report/markup.ts";

export interface Dot {
  readonly label: string;
  /** Fractions. */
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface DotsSpec {
  readonly id: string;
  readonly title: string;
  readonly dots: readonly Dot[];
  /** Mean accuracy of the central control, where there is one. */
  readonly central?: number;
  /** What is shown, such as "accuracy". */
  readonly measure: string;
  /** How the picture was made, for its description. */
  readonly provenance: string;
}

/** An `svg` element; the empty string without dots. */
export function dotsChart({ id, title, dots, central, measure, provenance }: DotsSpec, width: number = wideWidth): string {
  if (dots.length === 0) return "";
  const columns: RowColumn[] = [{ header: "accuracy", values: dots.map(({ mean }) => percent(mean)) }];
  if (central !== undefined) columns.push({ header: "points to central", values: dots.map(({ mean }) => points(mean - central)) });
  const frame = rows({ width, labels: dots.map((dot) => dot.label), columns, rowHeight: 24, top: 30, gap: 16 });
  const values = [...dots.flatMap(({ low, high }) => [low, high]), ...(central === undefined ? [] : [central])];
  const from = Math.max(0, Math.floor(Math.min(...values) * 20 - 0.2) / 20);
  const to = Math.min(1, Math.ceil(Math.max(...values) * 20 + 0.2) / 20);
  const x = scaleLinear([from, to], [frame.left, frame.right]);
  const marks = dots.map(({ label: text, mean, low, high }, row): Markup => {
    const y = frame.middle(row);
    return el(
      "g",
      {},
      tip(`${text}: ${percent(mean)}, ${percent(low)} to ${percent(high)} over the seeds`),
      line(x(low), y, x(high), y, "whisker"),
      el("path", { d: shapePath("circle", 64), class: "mark f-train", transform: `translate(${Math.round(x(mean) * 100) / 100} ${y})` }),
    );
  });
  return figure(
    {
      id,
      title,
      description: `Horizontal axis: ${measure} from ${percent(from)} to ${percent(to)}. ${dots.map((dot) => `${dot.label}: ${percent(dot.mean)}`).join("; ")}. ${provenance}.`,
      width,
      height: frame.bottom + 40,
    },
    bottomAxis(x, {
      top: frame.top,
      bottom: frame.bottom,
      ticks: 6,
      print: (value) => String(Math.round(value * 1000) / 10),
      title: `${measure}, %${from > 0 ? " (the axis does not start at zero)" : ""}`,
    }),
    central === undefined
      ? undefined
      : [
          line(x(central), frame.top - 4, x(central), frame.bottom, "reference"),
          label(x(central), frame.top - 9, "central", { class: "tick", anchor: "middle" }),
        ],
    marks,
    frame.markup,
  );
}
