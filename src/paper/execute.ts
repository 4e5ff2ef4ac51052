/** Runs the jobs that have not finished, several side by side, each in a run directory of its own. */
import { join } from "node:path";
import { commitOf, machineFacts, sheafVersion } from "../run/machine.ts";
import { SheafError } from "../util/errors.ts";
import type { PaperJob } from "./jobs.ts";
import { kinds } from "./kinds.ts";
import { type FailedJob, type JobData, type JobRecord, keepConfig, keepFailure, keepRecord, paperFiles, readRecord } from "./record.ts";

/** What happens to the jobs, as it happens. */
export type PaperEvent =
  | { readonly type: "started"; readonly job: string }
  | { readonly type: "finished"; readonly job: string; readonly record: JobRecord; readonly done: number; readonly jobs: number }
  | { readonly type: "failed"; readonly job: string; readonly reason: string; readonly done: number; readonly jobs: number };

export interface ExecuteOptions {
  readonly out: string;
  readonly dataDir?: string;
  /** Jobs side by side, each on one thread. */
  readonly workers: number;
  readonly signal?: AbortSignal;
  readonly commandLine: string;
  readonly onEvent?: (event: PaperEvent) => void;
  /** Called after each job that finished, with all so far. */
  readonly onRecord?: (soFar: Executed) => Promise<void>;
}

export interface Executed {
  readonly records: ReadonlyMap<string, JobRecord>;
  readonly failed: readonly FailedJob[];
}

/** Runs one job to its record. */
async function execute(job: PaperJob, options: ExecuteOptions, commit: string | undefined): Promise<JobRecord> {
  const { id, cell, seed } = job;
  const kind = kinds[job.kind];
  const out = join(options.out, paperFiles.job(id));
  const configFile = join(options.out, paperFiles.config(id));
  const words = kind.command(job);
  const command = words === undefined ? options.commandLine : `sheaf ${words} --config ${configFile} --out ${out}`;
  const started = performance.now();
  let data: JobData = { name: job.config.data.name, train: 0, test: 0 };
  const measured = await kind.run(
    {
      config: { ...job.config, workers: 1 },
      out,
      resume: true,
      commandLine: command,
      onEvent(event) {
        if (event.type !== "data") return;
        const { name, train, test, note } = event;
        data = { name, train, test, ...(note === undefined ? {} : { note }) };
      },
      ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
      ...(options.signal ? { signal: options.signal } : {}),
    },
    job,
  );
  const record: JobRecord = {
    format: "sheaf-paper-job/1",
    id,
    cell,
    kind: job.kind,
    seed,
    data,
    ...measured,
    command,
    sheafVersion,
    ...(commit === undefined ? {} : { commit }),
    machine: machineFacts(),
    finishedAt: new Date().toISOString(),
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
  await keepRecord(options.out, record);
  return record;
}

/**
 * Runs all jobs. What has a record is not run again; what was begun goes on from its run directory. A job that fails is told and left out,
 * and the others go on. Throws `interrupted` once `signal` is aborted and the jobs under way have been kept; `config` where the folder holds a
 * job with other settings.
 */
export async function executeJobs(jobs: readonly PaperJob[], options: ExecuteOptions): Promise<Executed> {
  const records = new Map<string, JobRecord>();
  const failed: FailedJob[] = [];
  const open: PaperJob[] = [];
  for (const job of jobs) {
    await keepConfig(options.out, job);
    const record = await readRecord(options.out, job.id);
    if (record) records.set(job.id, record);
    else open.push(job);
  }
  const commit = await commitOf();
  const progress = (): { done: number; jobs: number } => ({ done: records.size + failed.length, jobs: jobs.length });
  // Two jobs may end at once; what is written of all of them is written by one after the other.
  let writing: Promise<void> = Promise.resolve();
  const tell = (): Promise<void> => {
    writing = writing.then(() => options.onRecord?.({ records, failed }));
    return writing;
  };
  const takeJobs = async (): Promise<void> => {
    for (let job = open.shift(); job && !options.signal?.aborted; job = open.shift()) {
      options.onEvent?.({ type: "started", job: job.id });
      try {
        const record = await execute(job, options, commit);
        records.set(job.id, record);
        options.onEvent?.({ type: "finished", job: job.id, record, ...progress() });
      } catch (error) {
        // Hours of other jobs are not to be lost by one, whatever befell it.
        const code = error instanceof SheafError ? error.code : "internal";
        if (code === "interrupted") continue;
        const reason = error instanceof Error ? error.message : String(error);
        const failure = { job: job.id, cell: job.cell, seed: job.seed, methods: job.methods, code, reason };
        failed.push(failure);
        await keepFailure(options.out, failure);
        options.onEvent?.({ type: "failed", job: job.id, reason, ...progress() });
      }
      await tell();
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.workers, Math.max(1, open.length)) }, takeJobs));
  if (options.signal?.aborted) {
    throw new SheafError(
      "interrupted",
      `Interrupted; ${records.size} of ${jobs.length} jobs are kept in ${options.out}: run the same command with --resume to go on.`,
    );
  }
  return { records, failed };
}
