/** The figures of a paper: for every cell the overview, the frontier, the curves and the time on the virtual fleet. */
import { chartFile } from "../report/charts/chartFile.ts";
import { duration, ratio } from "../report/format.ts";
import { promisedRatio } from "./cells.ts";
import { dotsChart } from "./dotsChart.ts";
import { centralId, type Method, recipeId, slimId } from "./methods.ts";
import type { SummaryRow } from "./summary.ts";
import { type XyPoint, type XySeries, type XySpec, xyChart } from "./xyChart.ts";

/** One picture and what is said under it. */
export interface PaperFigure {
  /** File name, without folder. */
  readonly file: string;
  readonly cell: string;
  readonly caption: string;
  /** The whole SVG file. */
  readonly svg: string;
}

/** What the figures of a cell are drawn from. */
export interface FigureData {
  readonly cell: { readonly id: string; readonly title: string; readonly head: string };
  readonly methods: readonly Method[];
  /** Rows of this cell. */
  readonly summary: readonly SummaryRow[];
  /** The recipe's values of the keys that curves are over. */
  readonly recipe: { readonly rho: number; readonly settle: number };
}

/** What a method is called in tables and figures, with its head. */
export function nameOf({ method, head }: Pick<SummaryRow, "method" | "head">, methods: readonly Method[]): string {
  const title = method === slimId ? "slim: one narrow network, all data" : (methods.find(({ id }) => id === method)?.title ?? method);
  return head === undefined ? title : `${title}, ${head}`;
}

const pointAt = (x: number, { accuracy }: SummaryRow, label: string): XyPoint => ({
  x,
  y: accuracy.mean,
  low: accuracy.low,
  high: accuracy.high,
  label,
});

/** A curve under each head: the methods of that curve and the recipe itself, in the order of x. */
function curveSeries(
  { methods, summary }: FigureData,
  member: (method: Method) => number | undefined,
  recipeX: number | undefined,
): readonly XySeries[] {
  const placed = methods.flatMap((method) => {
    const x = method.id === recipeId ? recipeX : member(method);
    return x === undefined ? [] : [{ id: method.id, x }];
  });
  const heads = [...new Set(summary.filter(({ method }) => method === recipeId).map(({ head }) => head))];
  return heads.map((head) => {
    const points = placed.flatMap(({ id, x }) => {
      const row = summary.find((candidate) => candidate.method === id && candidate.head === head);
      return row ? [pointAt(x, row, `at ${x}`)] : [];
    });
    // The recipe may be a point of the curve's own too.
    const once = points.filter(({ x }, index) => points.findIndex((other) => other.x === x) === index);
    // The recipe alone is no curve.
    return { label: `Sheaf, ${head}`, joined: true, points: once.length > 1 ? once.sort((a, b) => a.x - b.x) : [] };
  });
}

const centralLine = ({ summary }: FigureData): XySpec["across"] =>
  summary.filter(({ method }) => method === centralId).map(({ accuracy }) => ({ label: "central", y: accuracy.mean }));

/** Methods that are no variants of Sheaf, one mark each. */
function others({ methods, summary }: FigureData, xOf: (row: SummaryRow) => number | undefined): readonly XySeries[] {
  const variants = new Set(methods.filter(({ kind }) => kind === "sheaf").map(({ id }) => id));
  return summary.flatMap((row): readonly XySeries[] => {
    const x = variants.has(row.method) || row.method === centralId ? undefined : xOf(row);
    const label = nameOf(row, methods);
    return x === undefined ? [] : [{ label, joined: false, points: [pointAt(x, row, label)] }];
  });
}

function frontier(data: FigureData): string {
  const { cell, methods, summary } = data;
  const heads = [...new Set(summary.filter(({ method }) => method === recipeId).map(({ head }) => head))];
  const onCurve = methods.filter(({ id, curve }) => id === recipeId || curve?.name === "ratio").map(({ id }) => id);
  const sheaf = heads.map((head): XySeries => {
    const points = summary.flatMap((row) =>
      onCurve.includes(row.method) && row.head === head && row.leastRatio !== undefined
        ? [pointAt(row.leastRatio, row, `at ${ratio(row.leastRatio)} times less`)]
        : [],
    );
    return { label: `Sheaf, ${head}`, joined: true, points: points.sort((a, b) => a.x - b.x) };
  });
  return xyChart({
    id: `frontier-${cell.id}`,
    title: `${cell.title}: accuracy against computation of a device`,
    xTitle: "how many times less a device computes than the full target on its samples would take; the least over devices",
    xScale: "log",
    printX: ratio,
    series: [...sheaf, ...others(data, ({ leastRatio }) => leastRatio)],
    across: centralLine(data),
    upright: { label: `${promisedRatio} times less`, x: promisedRatio },
  });
}

/** Accuracy over the key that a curve changes. */
function keyCurve(data: FigureData, name: "rho" | "settle", title: string, xTitle: string): string {
  return xyChart({
    id: `${name}-${data.cell.id}`,
    title: `${data.cell.title}: ${title}`,
    xTitle,
    xScale: "linear",
    printX: String,
    series: curveSeries(data, ({ curve }) => (curve?.name === name ? curve.x : undefined), data.recipe[name]),
    across: centralLine(data),
  });
}

function timeChart(data: FigureData): string {
  const { cell, methods, summary } = data;
  const timed = summary.filter(
    (row) =>
      row.virtualSeconds !== undefined &&
      (row.method === recipeId || methods.every((method) => method.id !== row.method || method.kind !== "sheaf")),
  );
  const series = timed.map((row): XySeries => {
    const label = nameOf(row, methods);
    const rounds = row.curve?.map(
      ({ virtualSeconds, accuracy }, i): XyPoint => ({
        x: virtualSeconds,
        y: accuracy,
        low: accuracy,
        high: accuracy,
        label: `evaluation ${i + 1}`,
      }),
    );
    const last = pointAt(row.virtualSeconds as number, row, label);
    return rounds && rounds.length > 1 ? { label, joined: true, points: rounds } : { label, joined: false, points: [last] };
  });
  return xyChart({
    id: `time-${cell.id}`,
    title: `${cell.title}: accuracy against time on the virtual fleet`,
    xTitle: "time until the model is there; of training in one place, on the fleet's fastest device",
    xScale: "log",
    printX: duration,
    series,
    across: [],
  });
}

function overview({ cell, methods, summary }: FigureData): string {
  const central = summary.find(({ method }) => method === centralId)?.accuracy.mean;
  return dotsChart({
    id: `methods-${cell.id}`,
    title: `${cell.title}: all methods`,
    dots: summary
      .filter(({ head }) => head === undefined || head === cell.head)
      .map((row) => ({ label: nameOf(row, methods), mean: row.accuracy.mean, low: row.accuracy.low, high: row.accuracy.high })),
    ...(central === undefined ? {} : { central }),
  });
}

/** All figures of a cell that have something to show. */
export function figuresOf(data: FigureData): readonly PaperFigure[] {
  const { id, head } = data.cell;
  const seeds = Math.max(0, ...data.summary.map((row) => row.seeds));
  const drawn = [
    {
      name: "methods",
      svg: overview(data),
      caption: `Every method, Sheaf under head ${head}: mean and range over ${seeds} ${seeds === 1 ? "seed" : "seeds"}.`,
    },
    {
      name: "frontier",
      svg: frontier(data),
      caption: `Accuracy against the computation of a device. The upright line marks the promised ratio, ${promisedRatio}; right of it a device computes less.`,
    },
    {
      name: "rho",
      svg: keyCurve(data, "rho", "accuracy against rho", "rho: background samples as a share of the other classes' samples"),
      caption: "Accuracy against rho, the share of the other classes' samples that a device has as background.",
    },
    {
      name: "settle",
      svg: keyCurve(
        data,
        "settle",
        "accuracy against settle passes",
        "settle passes, charged: more of them leave less for the first training",
      ),
      caption: "Accuracy against the number of settle passes at the same minimum ratio.",
    },
    { name: "time", svg: timeChart(data), caption: "Accuracy against time on the virtual fleet." },
  ];
  return drawn
    .filter(({ svg }) => svg !== "")
    .map(({ name, svg, caption }) => ({ file: `${name}-${id}.svg`, cell: id, caption, svg: chartFile(svg) }));
}
