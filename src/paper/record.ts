/** What a finished job leaves behind: its measurements with all that a reader needs to make them again. One JSON file a job. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseConfig, type RunConfig } from "../run/config.ts";
import type { MachineFacts } from "../run/machine.ts";
import { type ErrorCode, SheafError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.node.ts";
import type { PaperJob } from "./jobs.ts";

/** One classifier that came out of a job. Accuracies are fractions; what does not apply is absent. */
export interface Measurement {
  /** The method, where it is not the job's own: the slim control of the recipe's run. */
  readonly method?: string;
  /** The head, of a method that has several. */
  readonly head?: string;
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  /** How many times less a device computes than training the target on its own samples takes. */
  readonly ratio?: { readonly min: number; readonly median: number; readonly max: number };
  /** All devices together, or the one machine that trains. */
  readonly computeMacs: number;
  readonly bytesDown?: number;
  readonly bytesUp?: number;
  readonly rounds?: number;
  /** Until the model is there, on the virtual fleet; of training in one place, on the fleet's fastest device. */
  readonly virtualSeconds?: number;
  readonly parameters?: number;
  /** Accuracy by time on the virtual fleet, of a method that goes in rounds. */
  readonly curve?: readonly { readonly virtualSeconds: number; readonly accuracy: number }[];
  /** Accuracy before the first settle pass and after each, of a head that is measured then. */
  readonly settlePasses?: readonly number[];
  /** Accuracies without some devices, by how many are lost, of a head that is measured so: one for each set of devices that was tried. */
  readonly lostDevices?: readonly { readonly lost: number; readonly accuracies: readonly number[] }[];
}

/** What a job measured. */
export interface Measured {
  readonly evaluatedOn: "test" | "validation";
  readonly measurements: readonly Measurement[];
}

/** The samples behind a job's figures; `note` is what a reader must know of them. */
export interface JobData {
  readonly name: string;
  readonly train: number;
  readonly test: number;
  readonly note?: string;
}

/** The file of a finished job. */
export interface JobRecord extends Measured {
  readonly format: "sheaf-paper-job/1";
  readonly id: string;
  readonly cell: string;
  readonly kind: string;
  readonly seed: number;
  readonly data: JobData;
  /** A command that trains the same again. */
  readonly command: string;
  readonly sheafVersion: string;
  readonly commit?: string | undefined;
  readonly machine: MachineFacts;
  readonly finishedAt: string;
  readonly seconds: number;
}

/** A job that ended without a result. */
export interface FailedJob {
  readonly job: string;
  readonly cell: string;
  readonly seed: number;
  readonly methods: readonly string[];
  readonly code: ErrorCode;
  readonly reason: string;
}

/** Places in the folder of a paper. */
export const paperFiles = {
  config: (id: string): string => join("configs", `${id}.json`),
  record: (id: string): string => join("records", `${id}.json`),
  failure: (id: string): string => join("failures", `${id}.json`),
  job: (id: string): string => join("jobs", id),
  results: "results.json",
  csv: "results.csv",
  page: "paper.md",
  figures: "figures",
} as const;

const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Writes a file of the paper, its folder made where it is missing. */
export async function writePaperFile(out: string, name: string, content: string): Promise<void> {
  const path = join(out, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, content);
}

/** What a job's figures depend on, as text. */
function identityOf(config: RunConfig): string {
  const { workers: _, checkpointSeconds: __, ...identity } = config;
  return pretty(identity);
}

/** The same of a configuration that was kept, perhaps by a version with fewer keys: those that it lacks have their defaults. Undefined where it is none. */
function keptIdentity(text: string, path: string): string | undefined {
  try {
    return identityOf(parseConfig(JSON.parse(text), path));
  } catch {
    return undefined;
  }
}

/**
 * Keeps a job's configuration as a file that `--config` takes.
 * Throws `config` where the folder holds that job with another configuration: its results would be of something else.
 */
export async function keepConfig(out: string, { id, config }: Pick<PaperJob, "id" | "config">): Promise<void> {
  const text = identityOf(config);
  const path = join(out, paperFiles.config(id));
  if (existsSync(path)) {
    if (keptIdentity(await readFile(path, "utf8"), path) === text) return;
    throw new SheafError(
      "config",
      `${path} holds the job ${id} with other settings; resume with the same --scale, --set and version, or choose another --out.`,
    );
  }
  await writePaperFile(out, paperFiles.config(id), text);
}

/** A JSON file of the paper; undefined when there is none. Throws `corrupt` when it is damaged. */
async function readJson<T>(out: string, name: string): Promise<T | undefined> {
  const path = join(out, name);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (cause) {
    throw new SheafError("corrupt", `${path} is no JSON; delete it and resume, and it is made again from the job's run directory.`, {
      cause,
    });
  }
}

/** The record of a finished job; undefined when it has not finished. Throws `corrupt` when it is damaged. */
export const readRecord = (out: string, id: string): Promise<JobRecord | undefined> => readJson<JobRecord>(out, paperFiles.record(id));

/** Why a job had no result when it was last tried; undefined otherwise. Throws `corrupt` when the file is damaged. */
export const readFailure = (out: string, id: string): Promise<FailedJob | undefined> => readJson<FailedJob>(out, paperFiles.failure(id));

/** Keeps the record of a finished job: from here on it is not run again. */
export async function keepRecord(out: string, record: JobRecord): Promise<void> {
  await writePaperFile(out, paperFiles.record(record.id), pretty(record));
  await rm(join(out, paperFiles.failure(record.id)), { force: true });
}

/** Keeps why a job has no result, for pages that are written without trying it again. */
export async function keepFailure(out: string, failure: FailedJob): Promise<void> {
  await writePaperFile(out, paperFiles.failure(failure.job), pretty(failure));
}
