/** `sheaf paper`: the table of cells, methods and seeds as a list of resumable jobs, and what is written of them. */
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { mergeConfig, type RunConfig } from "../run/config.ts";
import { sheafVersion } from "../run/machine.ts";
import { SheafError } from "../util/errors.ts";
import { storageError } from "../util/files.node.ts";
import { cellOf } from "./cells.ts";
import { resultsCsv } from "./csv.ts";
import { type Executed, executeJobs, type FailedJob, type PaperEvent } from "./execute.ts";
import { figuresOf } from "./figures.ts";
import { listJobs, type PaperJob } from "./jobs.ts";
import { chooseMethods, type Method, methodsOf } from "./methods.ts";
import { type PageCell, paperPage } from "./page.ts";
import { type JobRecord, paperFiles, writePaperFile } from "./record.ts";
import { type ScaleName, scales } from "./scales.ts";
import { type AblationRow, ablate, type ResultRow, rowsOf, type SummaryRow, summarize } from "./summary.ts";

/** What is asked for; what is left out, the scale decides. */
export interface PaperRequest {
  readonly scale: ScaleName;
  readonly cells?: readonly string[];
  readonly methods?: readonly string[];
  /** How many, from the configuration's seed on. */
  readonly seeds?: number;
  /** A whole configuration from a cell's own values, with what the user sets laid over them. */
  readonly configOf: (defaults: unknown) => Promise<RunConfig>;
}

export interface PaperOptions extends PaperRequest {
  readonly out: string;
  readonly resume: boolean;
  readonly dataDir?: string;
  readonly signal?: AbortSignal;
  readonly commandLine: string;
  readonly onEvent?: (event: PaperEvent) => void;
}

/** What is to be done. */
export interface PaperPlan {
  readonly scale: ScaleName;
  readonly methods: readonly Method[];
  readonly seeds: readonly number[];
  readonly bases: ReadonlyMap<string, RunConfig>;
  readonly jobs: readonly PaperJob[];
}

/** The object that `sheaf paper --json` prints; also `results.json`. */
export interface PaperResult {
  readonly format: "sheaf-paper/1";
  readonly scale: ScaleName;
  readonly commandLine: string;
  readonly sheafVersion: string;
  readonly seeds: readonly number[];
  readonly commits: readonly string[];
  readonly machines: readonly string[];
  readonly jobs: { readonly done: number; readonly all: number };
  readonly cells: readonly PageCell[];
  readonly methods: readonly { readonly id: string; readonly title: string }[];
  readonly rows: readonly ResultRow[];
  readonly summary: readonly SummaryRow[];
  readonly ablation: readonly AblationRow[];
  readonly failed: readonly FailedJob[];
}

/** The jobs of a request. Throws `usage` on an unknown cell or method, `config` on a key of the configuration. */
export async function planPaper(request: PaperRequest): Promise<PaperPlan> {
  const scale = scales[request.scale];
  const cells = (request.cells ?? scale.cells).map(cellOf);
  const methods = chooseMethods(methodsOf(scale), request.methods);
  const bases = new Map<string, RunConfig>();
  for (const cell of cells) bases.set(cell.id, await request.configOf(mergeConfig(cell.recipe, scale.config(cell))));
  const first = [...bases.values()][0]?.seed ?? 0;
  const seeds = Array.from({ length: request.seeds ?? scale.seeds }, (_, i) => first + i);
  return { scale: request.scale, methods, seeds, bases, jobs: listJobs(cells, methods, seeds, bases) };
}

/** Throws `config` when the folder holds a paper and `resume` is not set, or something else. */
async function checkPaperFolder(out: string, resume: boolean): Promise<void> {
  const entries: readonly string[] = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw storageError(error, out);
  });
  if (entries.length === 0) return;
  if (!entries.includes("configs")) {
    throw new SheafError("config", `${out} is not empty and holds no paper of Sheaf; choose another --out or empty it.`);
  }
  if (!resume) throw new SheafError("config", `${out} holds a paper already; add --resume to go on with it, or choose another --out.`);
}

const machineText = ({ machine: { cpu, cores, platform, node, onnxruntime } }: JobRecord): string =>
  `${cores} cores of ${cpu}, ${platform}, Node ${node.replace(/^v/, "")}, ${Object.entries(onnxruntime)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ")}`;

const different = (values: readonly string[]): readonly string[] => [...new Set(values)];

/** What is known of a cell once one of its jobs has finished. */
function cellsOf({ bases }: PaperPlan, records: readonly JobRecord[]): readonly PageCell[] {
  return [...bases].flatMap(([id, config]) => {
    const record = records.find((candidate) => candidate.cell === id);
    if (!record) return [];
    const { title } = cellOf(id);
    const { network, width } = config.target;
    return [
      {
        id,
        title,
        head: config.head,
        data: record.data,
        evaluatedOn: record.evaluatedOn,
        epochs: config.training.epochs,
        target: { network, width },
      },
    ];
  });
}

/** The result of what has finished so far. */
export function paperResult(plan: PaperPlan, { records, failed }: Executed, commandLine: string): PaperResult {
  const all = [...records.values()];
  const rows = rowsOf(plan.jobs, records);
  const cells = cellsOf(plan, all);
  return {
    format: "sheaf-paper/1",
    scale: plan.scale,
    commandLine,
    sheafVersion,
    seeds: plan.seeds,
    commits: different(all.flatMap(({ commit }) => (commit === undefined ? [] : [commit]))),
    machines: different(all.map(machineText)),
    jobs: { done: records.size, all: plan.jobs.length },
    cells,
    methods: plan.methods.map(({ id, title }) => ({ id, title })),
    rows,
    summary: summarize(rows),
    ablation: ablate(rows, plan.methods, new Map(cells.map(({ id, head }) => [id, head]))),
    failed,
  };
}

/** Writes results, figures and page of what has finished. */
export async function writePaper(out: string, plan: PaperPlan, executed: Executed, commandLine: string): Promise<PaperResult> {
  const result = paperResult(plan, executed, commandLine);
  const figures = result.cells.flatMap((cell) =>
    figuresOf({
      cell,
      methods: plan.methods,
      summary: result.summary.filter((row) => row.cell === cell.id),
      recipe: { rho: plan.bases.get(cell.id)?.rho ?? 0, settle: plan.bases.get(cell.id)?.settle.passes ?? 0 },
    }),
  );
  const page = paperPage({ ...result, methods: plan.methods, scaleSummary: scales[plan.scale].summary, figures });
  await writePaperFile(out, paperFiles.results, `${JSON.stringify(result, null, 2)}\n`);
  await writePaperFile(out, paperFiles.csv, resultsCsv(result.rows, executed.records));
  for (const { file, svg } of figures) await writePaperFile(out, join(paperFiles.figures, file), svg);
  await writePaperFile(out, paperFiles.page, page);
  return result;
}

/**
 * Runs the jobs that have not finished and writes results, figures and page, after every job and at the end. Throws what `planPaper` throws,
 * `interrupted` when stopped, and after everything is written the first failure of a job, if it is another than that there is no plan:
 * a ratio that the fleet cannot reach is a result.
 */
export async function runPaper(options: PaperOptions): Promise<PaperResult> {
  const { out, resume, dataDir, signal, commandLine, onEvent } = options;
  const plan = await planPaper(options);
  await checkPaperFolder(out, resume);
  const workers = [...plan.bases.values()][0]?.workers ?? availableParallelism();
  const executed = await executeJobs(plan.jobs, {
    out,
    workers,
    commandLine,
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(signal ? { signal } : {}),
    ...(onEvent ? { onEvent } : {}),
    onRecord: async (soFar) => void (await writePaper(out, plan, soFar, commandLine)),
  });
  const result = await writePaper(out, plan, executed, commandLine);
  const [first] = executed.failed.filter(({ code }) => code !== "plan");
  if (first) {
    throw new SheafError(
      first.code,
      `${executed.failed.length} of ${plan.jobs.length} jobs failed; the results of the others are in ${out}. The first, ${first.job}: ${first.reason}`,
    );
  }
  return result;
}
