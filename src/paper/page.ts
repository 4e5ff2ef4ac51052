/** The page of a paper: Markdown with its tables and figures, each with what is needed to make it again. */
import { bytes, count, duration, macs, percent, points, ratio } from "../report/format.ts";
import { promisedRatio } from "./cells.ts";
import { nameOf, type PaperFigure } from "./figures.ts";
import { centralId, type Method, recipeId } from "./methods.ts";
import type { JobData } from "./record.ts";
import type { AblationRow, Spread, SummaryRow } from "./summary.ts";

/** What is said of a cell. */
export interface PageCell {
  readonly id: string;
  readonly title: string;
  /** Head that the recipe answers with. */
  readonly head: string;
  readonly data: JobData;
  readonly evaluatedOn: "test" | "validation";
  readonly epochs: number;
  readonly target: { readonly network: string; readonly width: number };
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
  readonly failed: readonly { readonly job: string; readonly reason: string }[];
  readonly figures: readonly PaperFigure[];
}

const none = "–";

/** "82.2 % (81.9 to 82.5)"; a single value alone. */
const spreadText = ({ mean, low, high, deviation }: Spread, print: (value: number) => string): string =>
  deviation === undefined ? print(mean) : `${print(mean)} (${print(low)} to ${print(high)})`;

const tableOf = (head: readonly string[], body: readonly (readonly string[])[]): string =>
  [
    `| ${head.join(" | ")} |`,
    `|${head.map((_, i) => (i === 0 ? "---" : "---:")).join("|")}|`,
    ...body.map((row) => `| ${row.join(" | ")} |`),
  ].join("\n");

const optional = (value: number | undefined, print: (value: number) => string): string => (value === undefined ? none : print(value));

const ofCell = <Row extends { readonly cell: string }>(rows: readonly Row[], cell: string): readonly Row[] =>
  rows.filter((row) => row.cell === cell);

/** The promise, cell by cell. */
function promiseTable({ cells, summary }: PageData): string {
  return tableOf(
    ["cell", "central", "Sheaf", "points to central", "least ratio", "all kept"],
    cells.map(({ id, title, head }) => {
      const central = ofCell(summary, id).find(({ method }) => method === centralId);
      const sheaf = ofCell(summary, id).find((row) => row.method === recipeId && row.head === head);
      const kept = (sheaf?.gap?.mean ?? -1) >= 0 && (sheaf?.leastRatio ?? 0) >= promisedRatio;
      return [
        title,
        central ? spreadText(central.accuracy, percent) : none,
        sheaf ? `${spreadText(sheaf.accuracy, percent)}, ${head}` : none,
        sheaf?.gap ? spreadText(sheaf.gap, points) : none,
        optional(sheaf?.leastRatio, ratio),
        central && sheaf ? (kept ? "yes" : "no") : none,
      ];
    }),
  );
}

function cellTable({ methods, summary }: PageData, cell: PageCell): string {
  // Of what varies the recipe, one head is enough here; results.csv has them all.
  const rows = ofCell(summary, cell.id).filter(({ method, head }) => head === undefined || method === recipeId || head === cell.head);
  // Where classes have unequal numbers of samples, the mean of their accuracies says something else.
  const uneven = rows.some(({ accuracy, balancedAccuracy }) => Math.abs(accuracy.mean - balancedAccuracy.mean) > 5e-4);
  const head = [
    "method",
    "accuracy",
    ...(uneven ? ["mean of classes"] : []),
    "points to central",
    "ratio: least",
    "median",
    "compute",
    "bytes down, up",
    "rounds",
    "virtual time",
    "parameters",
  ];
  return tableOf(
    head,
    rows.map((row) => [
      row.method === recipeId && row.head === cell.head ? `**${nameOf(row, methods)}**` : nameOf(row, methods),
      spreadText(row.accuracy, percent),
      ...(uneven ? [spreadText(row.balancedAccuracy, percent)] : []),
      row.gap ? spreadText(row.gap, points) : none,
      optional(row.leastRatio, ratio),
      optional(row.medianRatio, ratio),
      macs(row.computeMacs),
      row.bytesDown === undefined || row.bytesUp === undefined ? none : `${bytes(row.bytesDown)}, ${bytes(row.bytesUp)}`,
      optional(row.rounds, String),
      optional(row.virtualSeconds, duration),
      optional(row.parameters, count),
    ]),
  );
}

function ablationSection({ ablation }: PageData, cell: PageCell): readonly string[] {
  const rows = ofCell(ablation, cell.id);
  if (rows.length === 0) return [];
  return [
    `### ${cell.title}: one thing changed`,
    `Accuracy under ${cell.head} less that of the recipe with the same seed, in points. A change that helps is above zero.`,
    tableOf(
      ["change", "points", "seeds", "least ratio"],
      rows.map((row) => [row.change, spreadText(row.difference, points), String(row.seeds), optional(row.leastRatio, ratio)]),
    ),
  ];
}

function cellSection(data: PageData, cell: PageCell): readonly string[] {
  const { name, train, test, note } = cell.data;
  const provenance = `\`${data.commandLine}\`; ${name}, ${count(train)} training and ${count(test)} ${cell.evaluatedOn} samples; seeds ${data.seeds.join(", ")}; commit ${data.commits.join(", ") || "unknown"}; ${data.machines.join("; ")}`;
  return [
    `## ${cell.title}`,
    `Target ${cell.target.network} at width ${cell.target.width}, ${cell.epochs} epochs; ${name}, ${count(train)} training and ${count(test)} ${cell.evaluatedOn} samples${note === undefined ? "" : ` (${note})`}.`,
    cellTable(data, cell),
    ...ofCell(data.figures, cell.id).map(({ file, caption }) => `![${caption}](figures/${file})\n\n*${caption}* ${provenance}.`),
    ...ablationSection(data, cell),
  ];
}

/** The whole page. */
export function paperPage(data: PageData): string {
  const { done, all } = data.jobs;
  const parts = [
    `# Sheaf against its controls, scale ${data.scale}`,
    `${data.scaleSummary.charAt(0).toUpperCase()}${data.scaleSummary.slice(1)}.`,
    [
      `* Command: \`${data.commandLine}\``,
      `* Jobs finished: ${done} of ${all}${done < all ? "; **the table is not complete**" : ""}`,
      `* Seeds: ${data.seeds.join(", ")}`,
      `* Sheaf ${data.sheafVersion}, commit ${data.commits.join(", ") || "unknown"}`,
      `* Machine: ${data.machines.join("; ") || "unknown"}`,
      "* Every job's own command, commit and machine stand in `records/`, every number of every seed in `results.csv` and `results.json`.",
    ].join("\n"),
    `Accuracies are means over the seeds with their range. *Points to central* are differences to the central control of the same seed. The *ratio* says how many times less a device computes than training the full target on its own samples would take, everything charged; *least* is over devices and seeds. *Compute* is that of all devices together. The promise is ${promisedRatio} times less at the accuracy of central training.`,
    promiseTable(data),
    ...data.cells.flatMap((cell) => cellSection(data, cell)),
    ...(data.failed.length > 0
      ? ["## Jobs without a result", data.failed.map(({ job, reason }) => `* \`${job}\`: ${reason}`).join("\n")]
      : []),
  ];
  return `${parts.join("\n\n")}\n`;
}
