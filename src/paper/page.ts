/** The page of a paper: Markdown with its tables and figures, each with what is needed to make it again. */
import { bytes, count, duration, macs, percent, points, ratio } from "../report/format.ts";
import { promisedRatio } from "./cells.ts";
import { mainRows, measureOf, nameOf, type PaperFigure } from "./figures.ts";
import { centralId, type Method, recipeId, slimId } from "./methods.ts";
import type { FailedJob, JobData } from "./record.ts";
import type { AblationRow, Spread, SummaryRow } from "./summary.ts";

/** What is said of a cell. */
export interface PageCell {
  readonly id: string;
  readonly title: string;
  /** What counts as accuracy. */
  readonly metric: "accuracy" | "balancedAccuracy";
  /** Head that the recipe answers with. */
  readonly head: string;
  readonly data: JobData;
  readonly evaluatedOn: "test" | "validation";
  readonly epochs: number;
  readonly target: { readonly network: string; readonly width: number };
  /** Devices of the fleet, and slim nets that are averaged. */
  readonly devices: number;
  readonly slimNets: number;
  readonly seeds: readonly number[];
  readonly commits: readonly string[];
  readonly machines: readonly string[];
}

export interface PageData {
  readonly scale: string;
  readonly scaleSummary: string;
  readonly commandLine: string;
  readonly seeds: readonly number[];
  readonly commits: readonly string[];
  readonly machines: readonly string[];
  readonly sheafVersion: string;
  readonly jobs: { readonly done: number; readonly all: number };
  readonly cells: readonly PageCell[];
  readonly methods: readonly Method[];
  readonly summary: readonly SummaryRow[];
  readonly ablation: readonly AblationRow[];
  readonly failed: readonly FailedJob[];
  readonly figures: readonly PaperFigure[];
}

/** Where the page stands: as a page of its own, or as a part of another one. */
export interface PagePlace {
  /** Level of its first heading. */
  readonly level: number;
  /** Folders, relative to the page, of figures and of results.csv; "" for its own. */
  readonly figures: string;
  readonly results: string;
}

const none = "–";

/** "82.2 % (81.9 to 82.5)"; a single value alone. */
const spreadText = ({ mean, low, high, deviation }: Spread, print: (value: number) => string): string =>
  deviation === undefined ? print(mean) : `${print(mean)} (${print(low)} to ${print(high)})`;

const escaped = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");

/** The first column is of words, and the others of numbers unless they are named as words too. */
const tableOf = (head: readonly string[], body: readonly (readonly string[])[], words: readonly string[] = []): string =>
  [
    `| ${head.join(" | ")} |`,
    `|${head.map((name, i) => (i === 0 || words.includes(name) ? "---" : "---:")).join("|")}|`,
    ...body.map((row) => `| ${row.join(" | ")} |`),
  ].join("\n");

const optional = (value: number | undefined, print: (value: number) => string): string => (value === undefined ? none : print(value));

const ofCell = <Row extends { readonly cell: string }>(rows: readonly Row[], cell: string): readonly Row[] =>
  rows.filter((row) => row.cell === cell);

const samplesOf = ({ data: { name, train, test }, evaluatedOn }: PageCell): string =>
  `${name}, ${count(train)} training and ${count(test)} ${evaluatedOn} samples`;

/** How a cell's tables and figures were made. */
export function provenanceOf(cell: PageCell, commandLine: string): string {
  return [
    `\`${commandLine}\``,
    samplesOf(cell),
    `seeds ${cell.seeds.join(", ")}`,
    `commit ${cell.commits.join(", ") || "unknown"}`,
    cell.machines.join(", ") || "unknown machine",
  ].join("; ");
}

/** Title with the number of slim nets that are averaged. */
const titled = (row: SummaryRow, methods: readonly Method[], { slimNets }: PageCell): string =>
  row.method === "averageOfSlim" ? `average of ${slimNets} slim nets` : nameOf(row, methods);

/** The promise, cell by cell. */
function promiseTable({ cells, summary }: PageData): string {
  return tableOf(
    ["cell", "measure", "central", "Sheaf", "points to central", "least ratio", "kept"],
    cells.map(({ id, title, head, metric }) => {
      const central = ofCell(summary, id).find(({ method }) => method === centralId);
      const sheaf = ofCell(summary, id).find((row) => row.method === recipeId && row.head === head);
      const kept = (sheaf?.gap?.mean ?? -1) >= 0 && (sheaf?.leastRatio ?? 0) >= promisedRatio;
      return [
        title,
        metric === "accuracy" ? "accuracy" : "mean of classes",
        central ? spreadText(central.score, percent) : none,
        sheaf ? `${spreadText(sheaf.score, percent)}, ${head}` : none,
        sheaf?.gap ? spreadText(sheaf.gap, points) : none,
        optional(sheaf?.leastRatio, ratio),
        central && sheaf ? (kept ? "yes" : "no") : none,
      ];
    }),
  );
}

function cellTable({ methods, summary, failed }: PageData, cell: PageCell): string {
  const rows = mainRows(methods, ofCell(summary, cell.id), cell.head);
  const balanced = cell.metric === "balancedAccuracy";
  const columns = [
    "method",
    balanced ? "mean of classes" : "accuracy",
    ...(balanced ? ["all samples"] : []),
    "points to central",
    "least ratio",
    "median",
    "compute",
    "bytes down, up",
    "rounds",
    "virtual time",
    "parameters",
  ];
  const body = rows.map((row) => [
    row.method === recipeId && row.head === cell.head ? `**${titled(row, methods, cell)}**` : titled(row, methods, cell),
    spreadText(row.score, percent),
    ...(balanced ? [spreadText(row.accuracy, percent)] : []),
    row.gap ? spreadText(row.gap, points) : none,
    optional(row.leastRatio, ratio),
    optional(row.medianRatio, ratio),
    macs(row.computeMacs),
    row.bytesDown === undefined || row.bytesUp === undefined ? none : `${bytes(row.bytesDown)}, ${bytes(row.bytesUp)}`,
    optional(row.rounds, String),
    optional(row.virtualSeconds, duration),
    optional(row.parameters, count),
  ]);
  const lacking = ofCell(failed, cell.id).map(({ methods: ids, seed, reason }) => [
    `${ids.map((id) => methods.find((method) => method.id === id)?.title ?? id).join(" = ")}, seed ${seed}`,
    `no result: ${escaped(reason)}`,
    ...columns.slice(2).map(() => none),
  ]);
  return tableOf(columns, [...body, ...lacking]);
}

/** Slim, average of slim, joint branches, the heads and central side by side, lowest line last: where the loss is. */
function diagnosis({ methods, summary }: PageData, cell: PageCell, heading: string): readonly string[] {
  const rows = ofCell(summary, cell.id);
  const order = [slimId, "averageOfSlim", "joint", recipeId, centralId];
  const chosen = order.flatMap((id) => rows.filter(({ method }) => method === id));
  if (!chosen.some(({ method }) => method === "joint" || method === "averageOfSlim")) return [];
  const says: Readonly<Record<string, string>> = {
    [slimId]: "what narrowness costs one network that sees everything",
    averageOfSlim: "what several narrow networks gain where each sees everything",
    joint: "the same branches without independence",
    [recipeId]: "branches trained alone",
    [centralId]: "the goal",
  };
  return [
    `${heading} ${cell.title}: where the loss is`,
    tableOf(
      ["classifier", measureOf(cell.metric), "points to central", "compute", "what it tells"],
      chosen.map((row) => [
        titled(row, methods, cell),
        spreadText(row.score, percent),
        row.gap ? spreadText(row.gap, points) : none,
        macs(row.computeMacs),
        says[row.method] ?? "",
      ]),
      ["what it tells"],
    ),
  ];
}

const curveGroups: ReadonlySet<string> = new Set(["owners", "epochs", "ratio", "rho"]);

/** The points of the curves in numbers, under the head that answers. */
function curveTable({ methods, summary }: PageData, cell: PageCell, heading: string): readonly string[] {
  const rows = methods.flatMap((method) => {
    if (!curveGroups.has(method.group)) return [];
    return ofCell(summary, cell.id).filter((row) => row.method === method.id && row.head === cell.head);
  });
  if (rows.length === 0) return [];
  return [
    `${heading} ${cell.title}: the curves in numbers`,
    tableOf(
      ["point", measureOf(cell.metric), "points to central", "least ratio", "compute", "parameters"],
      rows.map((row) => [
        nameOf(row, methods),
        spreadText(row.score, percent),
        row.gap ? spreadText(row.gap, points) : none,
        optional(row.leastRatio, ratio),
        macs(row.computeMacs),
        optional(row.parameters, count),
      ]),
    ),
  ];
}

const signed = (value: number): string => (Math.abs(value) < 0.05 ? "0.0" : `${value < 0 ? "\u2212" : "+"}${ratio(Math.abs(value))}`);

function ablationSection({ ablation }: PageData, cell: PageCell, heading: string): readonly string[] {
  const rows = ofCell(ablation, cell.id);
  if (rows.length === 0) return [];
  return [
    `${heading} ${cell.title}: one thing changed`,
    `The ${measureOf(cell.metric)} under ${cell.head} less that of the recipe with the same seed, in points, and the least ratio less the recipe's; where a number of owners is named, of the recipe with so many. A change that helps is above zero.`,
    tableOf(
      ["change", "points", "least ratio", "to the recipe's", "seeds"],
      rows.map((row) => [
        row.change,
        spreadText(row.difference, points),
        optional(row.leastRatio, ratio),
        optional(row.ratioDifference, signed),
        String(row.seeds),
      ]),
    ),
  ];
}

function cellSection(data: PageData, cell: PageCell, { level, figures }: PagePlace): readonly string[] {
  const below = "#".repeat(level + 2);
  const provenance = provenanceOf(cell, data.commandLine);
  const measure = cell.metric === "accuracy" ? "Accuracy is that of all samples" : "What counts is the mean of the classes' accuracies";
  // Every table and figure says how it was made.
  const sourced = (parts: readonly string[]): readonly string[] => (parts.length > 0 ? [...parts, `*${provenance}.*`] : []);
  return [
    `${"#".repeat(level + 1)} ${cell.title}`,
    `Target ${cell.target.network} at width ${cell.target.width}, ${cell.epochs} epochs, ${cell.devices} devices; ${samplesOf(cell)}${cell.data.note === undefined ? "" : ` (${cell.data.note})`}. ${measure}.`,
    ...sourced([cellTable(data, cell)]),
    ...sourced(diagnosis(data, cell, below)),
    ...ofCell(data.figures, cell.id).map(({ file, caption }) => `![${caption}](${figures}${file})\n\n${caption} *${provenance}.*`),
    ...sourced(curveTable(data, cell, below)),
    ...sourced(ablationSection(data, cell, below)),
  ];
}

/** The whole page, or its section of another one. */
export function paperPage(data: PageData, place: PagePlace = { level: 1, figures: "figures/", results: "" }): string {
  const { done, all } = data.jobs;
  const parts = [
    `${"#".repeat(place.level)} Sheaf against its controls, scale ${data.scale}`,
    `What is meant by that: ${data.scaleSummary}; the command says what of it stands here, and what is otherwise.`,
    [
      `* Command: \`${data.commandLine}\``,
      `* Jobs finished: ${done} of ${all}${done < all ? "; **the table is not complete**" : ""}`,
      `* Seeds: ${data.seeds.join(", ")}`,
      `* Sheaf ${data.sheafVersion}, commit ${data.commits.join(", ") || "unknown"}`,
      `* Machine: ${data.machines.join("; ") || "unknown"}`,
      `* Every number of every seed, with the command of its job: [results.csv](${place.results}results.csv)`,
    ].join("\n"),
    `Accuracies are means over the seeds with their range. *Points to central* are differences to the central control of the same seed. The *ratio* says how many times less a device computes than training the full target on its own samples would take, everything charged; *least* is over devices and seeds. *Compute* is that of all devices together. The promise is ${promisedRatio} times less at the accuracy of central training.`,
    promiseTable(data),
    ...data.cells.flatMap((cell) => cellSection(data, cell, place)),
  ];
  return `${parts.join("\n\n")}\n`;
}
