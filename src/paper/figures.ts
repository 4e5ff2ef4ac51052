/** The figures of a paper: for every cell the overview, the frontier, the curves, lost devices, and the time on the virtual fleet. */
import { chartFile } from "../report/charts/chartFile.ts";
import { duration, ratio } from "../report/format.ts";
import { promisedRatio } from "./cells.ts";
import { dotsChart } from "./dotsChart.ts";
import { centralId, curves, type Method, recipeId, slimId } from "./methods.ts";
import type { Spread, SummaryRow } from "./summary.ts";
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
  readonly cell: { readonly id: string; readonly title: string; readonly head: string; readonly metric: "accuracy" | "balancedAccuracy" };
  readonly methods: readonly Method[];
  /** Rows of this cell. */
  readonly summary: readonly SummaryRow[];
  /** The recipe's values of the keys that curves are over. */
  readonly recipe: { readonly rho: number; readonly settle: number; readonly owners: number; readonly epochs: number };
  /** Command, data, seeds, commit and machine. */
  readonly provenance: string;
}

/** What counts as accuracy in a cell, in words. */
export const measureOf = (metric: "accuracy" | "balancedAccuracy"): string =>
  metric === "accuracy" ? "accuracy" : "mean of the classes' accuracies";

/** What a method is called in tables and figures, with its head. */
export function nameOf({ method, head }: Pick<SummaryRow, "method" | "head">, methods: readonly Method[]): string {
  const title = method === slimId ? "slim: one narrow network, all data" : (methods.find(({ id }) => id === method)?.title ?? method);
  return head === undefined ? title : `${title}, ${head}`;
}

/** Rows that belong in a cell's main table and overview: no points of the curves of owners, epochs, rho and ratio, and none of the ablation. */
export function mainRows(methods: readonly Method[], summary: readonly SummaryRow[], head: string): readonly SummaryRow[] {
  const recipeHeads = new Set(summary.filter(({ method }) => method === recipeId).map((row) => row.head));
  return summary.filter((row) => {
    const group = methods.find(({ id }) => id === row.method)?.group ?? "core";
    if (row.method === recipeId || row.head === undefined) return true;
    // Of a method with more heads than the recipe those that are new; of settling the head that answers.
    return group === "ablation" ? !recipeHeads.has(row.head) : group === "settle" && row.head === head;
  });
}

const pointOf = (x: number, { mean, low, high }: Spread, label: string): XyPoint => ({ x, y: mean, low, high, label });

const headsOf = (summary: readonly SummaryRow[]): readonly (string | undefined)[] => [
  ...new Set(summary.filter(({ method }) => method === recipeId).map(({ head }) => head)),
];

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
  return headsOf(summary).map((head) => {
    const points = placed.flatMap(({ id, x }) => {
      const row = summary.find((candidate) => candidate.method === id && candidate.head === head);
      return row ? [pointOf(x, row.score, `at ${x}`)] : [];
    });
    // The recipe may be a point of the curve's own too.
    const once = points.filter(({ x }, index) => points.findIndex((other) => other.x === x) === index);
    // The recipe alone is no curve.
    return { label: `Sheaf, ${head}`, joined: true, points: once.length > 1 ? once.sort((a, b) => a.x - b.x) : [] };
  });
}

const centralLine = ({ summary }: FigureData, key: "score" | "accuracy" = "score"): XySpec["across"] =>
  summary.filter(({ method }) => method === centralId).map((row) => ({ label: "central", y: row[key].mean }));

/** Methods that are no variants of Sheaf, one mark each. */
function others({ methods, summary }: FigureData, xOf: (row: SummaryRow) => number | undefined): readonly XySeries[] {
  const variants = new Set(methods.filter(({ kind }) => kind === "sheaf").map(({ id }) => id));
  return summary.flatMap((row): readonly XySeries[] => {
    const x = variants.has(row.method) || row.method === centralId ? undefined : xOf(row);
    const label = nameOf(row, methods);
    return x === undefined ? [] : [{ label, joined: false, points: [pointOf(x, row.score, label)] }];
  });
}

const yTitleOf = ({ cell }: FigureData): string => `${measureOf(cell.metric)}, %`;

function frontier(data: FigureData): string {
  const { cell, methods, summary, provenance } = data;
  const onCurve = methods.filter(({ id, curve }) => id === recipeId || curve?.name === "ratio").map(({ id }) => id);
  const sheaf = headsOf(summary).map((head): XySeries => {
    const points = summary.flatMap((row) =>
      onCurve.includes(row.method) && row.head === head && row.leastRatio !== undefined
        ? [pointOf(row.leastRatio, row.score, `at ${ratio(row.leastRatio)} times less`)]
        : [],
    );
    return { label: `Sheaf, ${head}`, joined: true, points: points.sort((a, b) => a.x - b.x) };
  });
  return xyChart({
    id: `frontier-${cell.id}`,
    title: `${cell.title}: accuracy against computation of a device`,
    xTitle: "how many times less a device computes than the full target on its samples would take; the least over devices",
    yTitle: yTitleOf(data),
    xScale: "log",
    printX: ratio,
    series: [...sheaf, ...others(data, ({ leastRatio }) => leastRatio)],
    across: centralLine(data),
    upright: { label: `${promisedRatio} times less`, x: promisedRatio },
    provenance,
  });
}

/** Curves over one key at the same minimum ratio: what their figures say. */
const plainCurves = {
  owners: {
    title: "owners",
    xTitle: "devices that own a class, of those in the fleet",
    caption: "the number of devices that own a class; with all of them every device has every class and no background",
  },
  epochs: {
    title: "epochs of sub-models",
    xTitle: "epochs of sub-models; the ratio goes on counting the target's",
    caption: "the epochs of sub-models, which more of them make narrower",
  },
  rho: {
    title: "rho",
    xTitle: "rho: background samples as a share of the other classes' samples",
    caption: "rho, the share of the other classes' samples that a device has as background, with four owners of each class",
  },
} as const;
type PlainCurve = keyof typeof plainCurves;

function plainChart(data: FigureData, name: PlainCurve): string {
  const { cell, recipe, provenance } = data;
  const { title, xTitle } = plainCurves[name];
  return xyChart({
    id: `${name}-${cell.id}`,
    title: `${cell.title}: accuracy against ${title}`,
    xTitle,
    yTitle: yTitleOf(data),
    xScale: "linear",
    ...(name === "rho" ? {} : { wholeX: true }),
    printX: String,
    // Where all points have something otherwise than the recipe, that is none of them.
    series: curveSeries(data, ({ curve }) => (curve?.name === name ? curve.x : undefined), curves[name].set ? undefined : recipe[name]),
    across: centralLine(data),
    provenance,
  });
}

/** Runs planned for different numbers of passes at one minimum ratio; and the passes of the longest of them, one after the other. */
function settleChart(data: FigureData): string {
  const { cell, methods, recipe, summary, provenance } = data;
  const planned = curveSeries(data, ({ curve }) => (curve?.name === "settle" ? curve.x : undefined), recipe.settle);
  const longest = Math.max(0, ...summary.map(({ settlePasses }) => settlePasses?.length ?? 0));
  const within = summary.flatMap((row): readonly XySeries[] => {
    const group = methods.find(({ id }) => id === row.method)?.group;
    if (row.settlePasses?.length !== longest || (row.method !== recipeId && group !== "settle")) return [];
    const label = `after each pass of ${longest - 1}, ${row.head}`;
    return [{ label, joined: true, points: row.settlePasses.map((spread, pass) => pointOf(pass, spread, `after pass ${pass}`)) }];
  });
  const once = within.filter(({ label }, index) => within.findIndex((other) => other.label === label) === index);
  return xyChart({
    id: `settle-${cell.id}`,
    title: `${cell.title}: accuracy against settle passes`,
    xTitle: "settle passes, charged: a plan for more of them leaves less for the first training",
    // What is measured between passes is the share of all samples.
    yTitle: cell.metric === "accuracy" ? yTitleOf(data) : `${measureOf(cell.metric)} (after each pass: accuracy of all samples), %`,
    xScale: "linear",
    wholeX: true,
    printX: String,
    series: [...planned, ...once],
    across: centralLine(data),
    provenance,
  });
}

function lostChart(data: FigureData): string {
  const { cell, summary, provenance } = data;
  const series = summary.flatMap((row): readonly XySeries[] => {
    if (row.method !== recipeId || row.lostDevices === undefined) return [];
    const points = row.lostDevices.map(({ lost, accuracy }) => pointOf(lost, accuracy, `${lost} lost`));
    return [{ label: `Sheaf, ${row.head}`, joined: true, points: [pointOf(0, row.accuracy, "none lost"), ...points] }];
  });
  return xyChart({
    id: `lost-${cell.id}`,
    title: `${cell.title}: accuracy against lost devices`,
    dodge: true,
    xTitle: "devices that never came back",
    yTitle: cell.metric === "accuracy" ? "accuracy, %" : "accuracy of all samples, %",
    xScale: "linear",
    wholeX: true,
    printX: String,
    series,
    across: centralLine(data, "accuracy"),
    provenance,
  });
}

function timeChart(data: FigureData): string {
  const { cell, methods, summary, provenance } = data;
  const timed = summary.filter(
    (row) =>
      row.virtualSeconds !== undefined &&
      (row.method === recipeId || methods.every((method) => method.id !== row.method || method.kind !== "sheaf")),
  );
  const series = timed.map((row): XySeries => {
    const label = nameOf(row, methods);
    // Between rounds only the share of all samples is measured.
    const rounds = (cell.metric === "accuracy" ? row.curve : undefined)?.map(
      ({ virtualSeconds, accuracy }, i): XyPoint => ({
        x: virtualSeconds,
        y: accuracy,
        low: accuracy,
        high: accuracy,
        label: `evaluation ${i + 1}`,
      }),
    );
    const last = pointOf(row.virtualSeconds as number, row.score, label);
    return rounds && rounds.length > 1 ? { label, joined: true, points: rounds } : { label, joined: false, points: [last] };
  });
  return xyChart({
    id: `time-${cell.id}`,
    title: `${cell.title}: accuracy against time on the virtual fleet`,
    xTitle: "time until the model is there; of training in one place, on the fleet's fastest device",
    yTitle: yTitleOf(data),
    xScale: "log",
    printX: duration,
    series,
    across: [],
    provenance,
  });
}

function overview({ cell, methods, summary, provenance }: FigureData): string {
  const central = summary.find(({ method }) => method === centralId)?.score.mean;
  return dotsChart({
    id: `methods-${cell.id}`,
    title: `${cell.title}: all methods`,
    // The part before the colon is enough beside the table.
    dots: mainRows(methods, summary, cell.head).map((row) => ({
      label: nameOf(row, methods).replace(/^(central|slim):.*/, "$1"),
      mean: row.score.mean,
      low: row.score.low,
      high: row.score.high,
    })),
    ...(central === undefined ? {} : { central }),
    measure: measureOf(cell.metric),
    provenance,
  });
}

/** All figures of a cell that have something to show. */
export function figuresOf(data: FigureData): readonly PaperFigure[] {
  const { id, metric } = data.cell;
  const seeds = Math.max(0, ...data.summary.map((row) => row.seeds));
  const measure = measureOf(metric);
  const capital = `${measure.charAt(0).toUpperCase()}${measure.slice(1)}`;
  const drawn = [
    {
      name: "methods",
      svg: overview(data),
      caption: `Every method: ${measure}, mean and range over ${seeds} ${seeds === 1 ? "seed" : "seeds"}.`,
    },
    {
      name: "frontier",
      svg: frontier(data),
      caption: `${capital} against the computation of a device. The upright line marks the promised ratio, ${promisedRatio}; right of it a device computes less.`,
    },
    ...(Object.keys(plainCurves) as PlainCurve[]).map((name) => ({
      name,
      svg: plainChart(data, name),
      caption: `${capital} against ${plainCurves[name].caption}, at the same minimum ratio.`,
    })),
    {
      name: "settle",
      svg: settleChart(data),
      caption: `${capital} against settle passes: plans for that many at the same minimum ratio, and what the longest of them reached after each pass.`,
    },
    {
      name: "lost",
      svg: lostChart(data),
      caption:
        "Accuracy of the recipe against the number of lost devices: mean and range over the sets of devices that were tried and the seeds.",
    },
    { name: "time", svg: timeChart(data), caption: `${capital} against time on the virtual fleet.` },
  ];
  return drawn
    .filter(({ svg }) => svg !== "")
    .map(({ name, svg, caption }) => ({ file: `${name}-${id}.svg`, cell: id, caption, svg: chartFile(svg) }));
}
