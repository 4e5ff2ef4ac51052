/** Learning curves: loss, accuracy and learning rate of every device and control over the epochs. */
import { extent } from "d3-array";
import { format } from "d3-format";
import { scaleLinear } from "d3-scale";
import { line as linePath } from "d3-shape";
import { percent } from "../format.ts";
import { el, type Markup } from "../markup.ts";
import type { CurvePoint, CurveSeries, ReportData } from "../reportData.ts";
import {
  bottomAxis,
  type ChartOptions,
  figure,
  isNarrow,
  type LegendItem,
  label,
  leftAxis,
  legend,
  line,
  tip,
  wideWidth,
} from "./frame.ts";

type Measure = "loss" | "accuracy" | "learningRate";
const measures: Readonly<
  Record<Measure, { readonly title: string; readonly axis: (value: number) => string; readonly print: (value: number) => string }>
> = {
  loss: { title: "loss", axis: format("~g"), print: format(".4g") },
  accuracy: { title: "accuracy, %", axis: (value) => String(Math.round(100 * value)), print: percent },
  learningRate: { title: "learning rate", axis: format(".2~g"), print: format(".3~g") },
};
const colours = 7;
const dashes = 3;
/** More points than this are thinned for drawing; the data keeps all. */
const drawnPoints = 300;

/**
 * A panel per measure that is present, side by side on a wide page, one below the other on a phone.
 * @returns an `svg` element; the empty string when there are no points
 */
export function curvesChart(data: Pick<ReportData, "curves">, options: ChartOptions = {}): string {
  const width = options.width ?? wideWidth;
  const series = data.curves.filter((each) => each.points.length > 0);
  if (series.length === 0) return "";
  const present = (Object.keys(measures) as Measure[]).filter((measure) =>
    series.some((each) => each.points.some((point) => point[measure] !== undefined)),
  );
  const byEpoch = series.every((each) => each.points.every((point) => point.epoch !== undefined));
  const position = (point: CurvePoint): number => (byEpoch ? point.epoch : point.step) ?? point.epoch ?? 0;
  const crowded = series.length > colours * 2;
  const styles = series.map((each, index) =>
    crowded && !isControl(each) ? "series many" : `series s${index % colours} d${Math.floor(index / colours) % dashes}`,
  );

  const key = legend(legendItems(series, styles, crowded), { x: 0, y: 4, width });
  const perRow = isNarrow(width) ? 1 : Math.min(present.length, 3);
  const gap = 26;
  const axisWidth = 40;
  const panelWidth = (width - gap * (perRow - 1)) / perRow;
  const panelHeight = isNarrow(width) ? 190 : 240;
  const pitch = panelHeight + 68;

  const panels: Markup[] = present.map((measure, index) => {
    const left = (index % perRow) * (panelWidth + gap) + axisWidth;
    const top = key.height + 34 + Math.floor(index / perRow) * pitch;
    const place = { left, right: left + panelWidth - axisWidth - 10, top, bottom: top + panelHeight };
    return panel(measure, series, styles, position, place, byEpoch ? "epoch" : "step");
  });
  const panelRows = Math.ceil(present.length / perRow);
  return figure(
    {
      id: "curves",
      title: "Learning curves",
      description: `${present.map((measure) => measures[measure].title).join(", ")} by ${byEpoch ? "epoch" : "step"} for ${series.length} networks. ${series.map((each) => `${each.label} ends at ${lastValues(each)}`).join("; ")}.`,
      width,
      height: key.height + 34 + panelRows * pitch - 24,
    },
    key.markup,
    panels,
  );
}

function isControl(series: CurveSeries): boolean {
  return series.id === "central" || series.id === "slim";
}

/** One item per curve; of a crowd of devices, one for all of them (each says its name in its tooltip). */
function legendItems(series: readonly CurveSeries[], styles: readonly string[], crowded: boolean): LegendItem[] {
  const item = (text: string, style: string): LegendItem => ({ label: text, sample: line(0, 6, 15, 6, style) });
  const named = series.flatMap((each, index) => (crowded && !isControl(each) ? [] : [item(each.label, styles[index]!)]));
  return crowded ? [...named, item(`${series.length - named.length} devices`, "series many")] : named;
}

interface Place {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

function panel(
  measure: Measure,
  series: readonly CurveSeries[],
  styles: readonly string[],
  position: (point: CurvePoint) => number,
  place: Place,
  xTitle: string,
): Markup {
  const { title, axis, print } = measures[measure];
  const points = series.flatMap((each) => each.points).filter((point) => point[measure] !== undefined && Number.isFinite(point[measure]));
  const [from = 0, to = 1] = extent(points, position);
  const [low = 0, high = 1] = extent(points, (point) => point[measure]);
  const x = scaleLinear([from, to > from ? to : from + 1], [place.left, place.right]);
  const y = scaleLinear(
    [measure === "accuracy" ? low : Math.min(0, low), high > low || high > 0 ? high : 1],
    [place.bottom, place.top],
  ).nice(5);
  const draw = linePath<CurvePoint>(
    (point) => x(position(point)),
    (point) => y(point[measure] ?? 0),
  )
    .defined((point) => point[measure] !== undefined)
    .digits(2);
  const whole = Number.isInteger(from) && to - from < 6 ? to - from : 5;
  return el(
    "g",
    {},
    label(place.left, place.top - 12, title, { class: "panel" }),
    leftAxis(y, { left: place.left, right: place.right, ticks: 5, print: axis }),
    bottomAxis(x, { top: place.top, bottom: place.bottom, ticks: Math.max(1, whole), print: format("~g"), title: xTitle }),
    series.map((each, index) => {
      const last = each.points.findLast((point) => point[measure] !== undefined);
      if (last === undefined) return undefined;
      const words = `${each.label}: ${print(last[measure] ?? 0)} at the end`;
      return el("path", { d: draw(thin(each.points)) ?? "", class: styles[index] }, tip(words));
    }),
  );
}

/** Every k-th point and the last. */
function thin(points: readonly CurvePoint[]): readonly CurvePoint[] {
  const stride = Math.ceil(points.length / drawnPoints);
  return stride <= 1 ? points : points.filter((_, index) => index % stride === 0 || index === points.length - 1);
}

function lastValues(series: CurveSeries): string {
  const last = series.points.at(-1);
  if (last === undefined) return "";
  return `loss ${measures.loss.print(last.loss)}${last.accuracy === undefined ? "" : `, accuracy ${percent(last.accuracy)}`}`;
}
