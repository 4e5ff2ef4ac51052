/** `sheaf paper`: the table of cells, methods and seeds as a list of resumable jobs, and what is written of them. */
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { mergeConfig } from "../run/assignments.ts";
import type { RunConfig } from "../run/config.ts";
import { sheafVersion } from "../run/machine.ts";
import { SheafError } from "../util/errors.ts";
import { storageError } from "../util/files.node.ts";
import { cellOf } from "./cells.ts";
import { resultsCsv } from "./csv.ts";
import { estimateJobs, type JobEstimate } from "./estimate.ts";
import { type Executed, executeJobs, type PaperEvent } from "./execute.ts";
import { figuresOf } from "./figures.ts";
import { folderOf, putInto, readTarget } from "./into.ts";
import { listJobs, type PaperJob, type PlannedCell } from "./jobs.ts";
import { chooseMethods, type Method, methodsOf, recipeId } from "./methods.ts";
import { type PageCell, paperPage, provenanceOf } from "./page.ts";
import { type FailedJob, type JobRecord, paperFiles, readFailure, readRecord, writePaperFile } from "./record.ts";
import { type ScaleName, scales } from "./scales.ts";
import { type AblationRow, ablate, type ResultRow, rowsOf, type SummaryRow, summarize } from "./summary.ts";

/** What is asked for; what is left out, the scale decides. */
export interface PaperRequest {
  readonly scale: ScaleName;
  readonly cells?: readonly string[];
  /** Ids or groups. */
  readonly methods?: readonly string[];
  /** How many, from the configuration's seed on. */
  readonly seeds?: number;
  /** A whole configuration from a cell's and a method's own values, with what the user sets laid over them. */
  readonly configOf: (defaults: unknown) => Promise<RunConfig>;
}

export interface PaperOptions extends PaperRequest {
  readonly out: string;
  readonly resume: boolean;
  readonly dataDir?: string;
  readonly signal?: AbortSignal;
  readonly commandLine: string;
  readonly onEvent?: (event: PaperEvent) => void;
  /** Told before the first job: what has no record yet, with what it will take. */
  readonly onPlanned?: (open: readonly JobEstimate[], jobs: number) => void;
  /** Runs nothing and writes what has finished. */
  readonly writeOnly?: boolean;
  /** A page that the section is put into, beside the paper's own. */
  readonly into?: string;
}

/** What is to be done. */
export interface PaperPlan {
  readonly scale: ScaleName;
  /** Of all cells, in the order of the tables. */
  readonly methods: readonly Method[];
  readonly seeds: readonly number[];
  readonly cells: readonly PlannedCell[];
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
  const cells: PlannedCell[] = [];
  for (const cell of (request.cells ?? scale.cells).map(cellOf)) {
    const own = scale.byCell[cell.id] ?? {};
    const all = methodsOf({ ...scale.curves, ...own.curves });
    const methods = chooseMethods(all, request.methods ?? own.methods ?? scale.methods);
    const values = mergeConfig(mergeConfig(cell.recipe, scale.config), own.config ?? {});
    const bases = new Map<string, RunConfig>();
    const same = await request.configOf(values);
    for (const { id, group } of methods) {
      const others = [cell.methods?.[group], cell.methods?.[id]].filter((value) => value !== undefined);
      bases.set(id, others.length > 0 ? await request.configOf(others.reduce(mergeConfig, values)) : same);
    }
    cells.push({ id: cell.id, methods, bases });
  }
  const known = new Map(cells.flatMap(({ methods }) => methods.map((method) => [method.id, method])));
  const first = baseOf(cells[0])?.seed ?? 0;
  const seeds = Array.from({ length: request.seeds ?? scale.seeds }, (_, i) => first + i);
  return { scale: request.scale, methods: [...known.values()], seeds, cells, jobs: listJobs(cells, seeds) };
}

/** A cell's recipe. */
const baseOf = (cell: PlannedCell | undefined): RunConfig | undefined => cell?.bases.get(recipeId);

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

const commitsOf = (records: readonly JobRecord[]): readonly string[] =>
  different(records.flatMap(({ commit }) => (commit === undefined ? [] : [commit])));

/** What is known of a cell once one of its jobs has finished. */
function cellsOf({ cells, seeds }: PaperPlan, all: readonly JobRecord[]): readonly PageCell[] {
  return cells.flatMap((cell): readonly PageCell[] => {
    const records = all.filter((record) => record.cell === cell.id);
    const config = baseOf(cell);
    const [record] = records;
    if (!record || !config) return [];
    const { title, metric } = cellOf(cell.id);
    const { network, width } = config.target;
    const devices = config.fleet.devices.length;
    return [
      {
        id: cell.id,
        title,
        metric,
        head: config.head,
        data: record.data,
        evaluatedOn: record.evaluatedOn,
        epochs: config.training.epochs,
        target: { network, width },
        devices,
        slimNets: cell.bases.get("averageOfSlim")?.baseline.members ?? devices,
        seeds: seeds.filter((seed) => records.some((candidate) => candidate.seed === seed)),
        commits: commitsOf(records),
        machines: different(records.map(machineText)),
      },
    ];
  });
}

/** The result of what has finished so far. */
export function paperResult(plan: PaperPlan, { records, failed }: Executed, commandLine: string): PaperResult {
  const all = [...records.values()];
  const rows = rowsOf(plan.jobs, records, (cell) => cellOf(cell).metric);
  const cells = cellsOf(plan, all);
  return {
    format: "sheaf-paper/1",
    scale: plan.scale,
    commandLine,
    sheafVersion,
    seeds: plan.seeds,
    commits: commitsOf(all),
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

/** Writes results, figures and page of what has finished, and the section of another page where one is given. */
export async function writePaper(
  out: string,
  plan: PaperPlan,
  executed: Executed,
  commandLine: string,
  into?: string,
): Promise<PaperResult> {
  const result = paperResult(plan, executed, commandLine);
  const figures = result.cells.flatMap((cell) => {
    const base = baseOf(plan.cells.find(({ id }) => id === cell.id));
    return figuresOf({
      cell,
      methods: plan.methods,
      summary: result.summary.filter((row) => row.cell === cell.id),
      recipe: {
        rho: base?.rho ?? 0,
        settle: base?.settle.passes ?? 0,
        owners: base?.fleet.redundancy ?? 1,
        epochs: base?.fleet.epochs ?? base?.training.epochs ?? 0,
      },
      provenance: provenanceOf(cell, commandLine),
    });
  });
  const data = { ...result, methods: plan.methods, scaleSummary: scales[plan.scale].summary, figures };
  const csv = resultsCsv(result.rows, executed.records);
  await writePaperFile(out, paperFiles.results, `${JSON.stringify(result, null, 2)}\n`);
  await writePaperFile(out, paperFiles.csv, csv);
  for (const { file, svg } of figures) await writePaperFile(out, join(paperFiles.figures, file), svg);
  await writePaperFile(out, paperFiles.page, paperPage(data));
  if (into !== undefined) {
    const folder = folderOf(into);
    await putInto(into, paperPage(data, { level: 2, figures: folder, results: folder }), figures, csv);
  }
  return result;
}

/** What a paper came to, and the failure that its command ends with: the first of a job, once everything is written. */
export interface PaperOutcome {
  readonly result: PaperResult;
  readonly failure?: SheafError;
}

/** The records and failures that there are, nothing being run. */
async function finishedOnly(out: string, jobs: readonly PaperJob[]): Promise<Executed> {
  const records = new Map<string, JobRecord>();
  const failed: FailedJob[] = [];
  for (const { id } of jobs) {
    const record = await readRecord(out, id);
    const failure = record ? undefined : await readFailure(out, id);
    if (record) records.set(id, record);
    if (failure) failed.push(failure);
  }
  return { records, failed };
}

/**
 * Runs the jobs that have not finished and writes results, figures and page, after every job and at the end. A job that fails is a row of its
 * own and stops no other. Throws what `planPaper` throws, `data` where a data set is missing, and `interrupted` when stopped.
 */
export async function runPaper(options: PaperOptions): Promise<PaperOutcome> {
  const { out, resume, dataDir, signal, commandLine, onEvent, onPlanned, into } = options;
  const plan = await planPaper(options);
  if (into !== undefined) await readTarget(into);
  if (options.writeOnly === true) {
    return { result: await writePaper(out, plan, await finishedOnly(out, plan.jobs), commandLine, into) };
  }
  await checkPaperFolder(out, resume);
  const source = { ...(dataDir === undefined ? {} : { dataDir }), ...(signal ? { signal } : {}) };
  if (onPlanned) {
    const { records } = await finishedOnly(out, plan.jobs);
    const open = plan.jobs.filter(({ id }) => !records.has(id));
    onPlanned(await estimateJobs(open, source), plan.jobs.length);
  }
  const executed = await executeJobs(plan.jobs, {
    out,
    workers: baseOf(plan.cells[0])?.workers ?? availableParallelism(),
    commandLine,
    ...source,
    ...(onEvent ? { onEvent } : {}),
    onRecord: async (soFar) => void (await writePaper(out, plan, soFar, commandLine)),
  });
  const result = await writePaper(out, plan, executed, commandLine, into);
  const [first] = executed.failed;
  if (!first) return { result };
  const message = `${executed.failed.length} of ${plan.jobs.length} jobs have no result; those of the others are in ${out}. The first, ${first.job}: ${first.reason}`;
  return { result, failure: new SheafError(first.code, message) };
}
