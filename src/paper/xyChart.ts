/** Accuracy over a quantity: series of points with their spread over seeds, reference lines across and upright. */
import { type ScaleLinear, scaleLinear, scaleLog } from "d3-scale";
import { line as linePath } from "d3-shape";
import {
  bottomAxis,
  figure,
  type LegendItem,
  label,
  leftAxis,
  legend,
  line,
  type Shape,
  shapePath,
  tip,
  wideWidth,
} from "../report/charts/frame.ts";
import { percent } from "../report/format.ts";
import { el, type Markup } from "../report/markup.ts";

export interface XyPoint {
  readonly x: number;
  /** A fraction, and its range over seeds. */
  readonly y: number;
  readonly low: number;
  readonly high: number;
  readonly label: string;
}

export interface XySeries {
  readonly label: string;
  readonly points: readonly XyPoint[];
  /** Whether a line joins the points in their order; single methods are marks alone. */
  readonly joined: boolean;
}

export interface XySpec {
  readonly id: string;
  readonly title: string;
  readonly xTitle: string;
  /** What the vertical axis shows, such as "accuracy, %". */
  readonly yTitle: string;
  readonly xScale: "linear" | "log";
  /** Whether series are set a little beside each other, where their points share places and have ranges. */
  readonly dodge?: boolean;
  /** Whether only whole numbers are marked on the axis. */
  readonly wholeX?: boolean;
  readonly printX: (value: number) => string;
  readonly series: readonly XySeries[];
  /** Lines across the plot, for classifiers that have no place on the axis. */
  readonly across: readonly { readonly label: string; readonly y: number }[];
  /** A line upright: the ratio that is promised. */
  readonly upright?: { readonly label: string; readonly x: number };
  /** How the picture was made, for its description. */
  readonly provenance: string;
}

const shapes: readonly Shape[] = ["circle", "triangle", "square", "diamond"];
/** Classes of the style sheet, a fill and a stroke of the same colour each. */
const fills = ["f-train", "f-wrong", "f-h0", "f-h1", "f-download", "f-h4", "f-central"];
const strokes = ["s1", "s2", "s3", "s4", "s6", "s5", "s0"];

const styleOf = (index: number): { readonly fill: string; readonly stroke: string; readonly shape: Shape } => ({
  fill: fills[index % fills.length] as string,
  stroke: strokes[index % strokes.length] as string,
  shape: shapes[index % shapes.length] as Shape,
});

const at = (x: number, y: number): string => `translate(${Math.round(x * 100) / 100} ${Math.round(y * 100) / 100})`;

/** Limits with some air; on a logarithmic axis by a factor. */
function limits(values: readonly number[], log: boolean): readonly [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) return [low / 1.15, high * 1.15];
  const air = high > low ? (high - low) * 0.05 : 0.5;
  return [low >= 0 ? Math.max(0, low - air) : low - air, high + air];
}

/** 1, 2 and 5 of each decade; on a short axis, where that leaves fewer than three, round numbers in even steps. */
function logTicks([from = 1, to = 10]: readonly number[]): readonly number[] {
  const decades = Array.from({ length: 1 + Math.ceil(Math.log10(to / from)) }, (_, i) => 10 ** (Math.floor(Math.log10(from)) + i));
  const usual = decades.flatMap((decade) => [decade, 2 * decade, 5 * decade]).filter((tick) => tick >= from && tick <= to);
  return usual.length >= 3 ? usual : scaleLinear().domain([from, to]).ticks(4);
}

/** An `svg` element; the empty string when there are no points. */
export function xyChart(spec: XySpec, width: number = wideWidth): string {
  const series = spec.series.filter(({ points }) => points.length > 0);
  const points = series.flatMap((each) => each.points);
  if (points.length === 0) return "";
  const items = series.map(({ label: text }, index): LegendItem => {
    const { fill, shape } = styleOf(index);
    return { label: text, sample: el("path", { d: shapePath(shape, 52), class: `mark ${fill}`, transform: at(7, 6) }) };
  });
  const key = legend(items, { x: 0, y: 4, width });
  const place = { left: 44, right: width - 12, top: key.height + 24, bottom: key.height + 304 };
  const log = spec.xScale === "log";
  // Room for series that are set aside at the ends.
  const inset = spec.dodge === true ? 4 * series.length : 0;
  const xs = [...points.map(({ x }) => x), ...(spec.upright ? [spec.upright.x] : [])];
  const x = (log ? scaleLog() : scaleLinear()).domain(limits(xs, log)).range([place.left + inset, place.right - inset]);
  const ys = [...points.flatMap(({ low, high }) => [low, high]), ...spec.across.map(({ y }) => y)];
  const [least, most] = limits(ys, false);
  const y = scaleLinear([least, Math.min(1, most)], [place.bottom, place.top]).nice(6);
  const marks = series.flatMap(({ points: own, joined, label: name }, index): Markup[] => {
    const { fill, stroke, shape } = styleOf(index);
    const aside = spec.dodge === true ? 6 * (index - (series.length - 1) / 2) : 0;
    const xOf = (point: XyPoint): number => x(point.x) + aside;
    const path = linePath<XyPoint>(xOf, (point) => y(point.y)).digits(2);
    return [
      ...(joined && own.length > 1 ? [el("path", { d: path(own) ?? "", class: `series ${stroke}` }, tip(name))] : []),
      ...own.map((point) =>
        el(
          "g",
          {},
          tip(`${name}, ${point.label}: ${percent(point.y)}, ${percent(point.low)} to ${percent(point.high)}`),
          line(xOf(point), y(point.low), xOf(point), y(point.high), "whisker"),
          el("path", { d: shapePath(shape, 64), class: `mark ${fill}`, transform: at(xOf(point), y(point.y)) }),
        ),
      ),
    ];
  });
  const references = spec.across.map(({ label: text, y: value }) =>
    el(
      "g",
      {},
      line(place.left, y(value), place.right, y(value), "reference"),
      label(place.left + 4, y(value) - 4, `${text} ${percent(value)}`, { class: "tick halo" }),
    ),
  );
  const upright = spec.upright && [
    line(x(spec.upright.x), place.top, x(spec.upright.x), place.bottom, "promise"),
    // On the side where there is more room.
    x(spec.upright.x) > (place.left + place.right) / 2
      ? label(x(spec.upright.x) - 5, place.top - 8, spec.upright.label, { class: "tick halo", anchor: "end" })
      : label(x(spec.upright.x) + 5, place.top - 8, spec.upright.label, { class: "tick halo" }),
  ];
  const ticks = log ? logTicks(x.domain()) : x.ticks(6).filter((tick) => spec.wholeX !== true || Number.isInteger(tick));
  // What an axis asks of a scale; a logarithmic one of d3's has more ticks than there is room for.
  const axisScale = Object.assign((value: number) => x(value), { range: () => x.range(), ticks: () => ticks });
  return figure(
    {
      id: spec.id,
      title: spec.title,
      description: `Horizontal axis: ${spec.xTitle}. Vertical axis: ${spec.yTitle}. ${series.map((each) => `${each.label}: ${each.points.map((point) => `${spec.printX(point.x)} gives ${percent(point.y)}`).join(", ")}`).join("; ")}. ${spec.provenance}.`,
      width,
      height: place.bottom + 44,
    },
    key.markup,
    leftAxis(y, { left: place.left, right: place.right, ticks: 6, print: (value) => String(Math.round(value * 1000) / 10) }),
    bottomAxis(axisScale as unknown as ScaleLinear<number, number>, {
      top: place.top,
      bottom: place.bottom,
      ticks: 6,
      print: spec.printX,
      title: spec.xTitle,
    }),
    label(place.left, place.top - 8, spec.yTitle, { class: "tick" }),
    upright,
    references,
    marks,
  );
}
