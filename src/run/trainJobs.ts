/** Trains the jobs of a run side by side, keeping what is finished in its directory. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { CurvePoint, TrainingJob } from "../train/job.ts";
import { trainAll } from "../train/pool.node.ts";
import { SheafError } from "../util/errors.ts";
import type { Tensor } from "../util/tensor.ts";
import { type RunDirectory, runFiles } from "./directory.ts";
import type { RunOptions } from "./options.ts";

/** What a finished training job leaves, from this run or an earlier one. */
export interface FinishedJob {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly curve: readonly CurvePoint[];
  readonly seconds: number;
}

/** Throws `interrupted`, saying how to go on, once `signal` is aborted. */
export function throwIfInterrupted(signal: AbortSignal | undefined, out: string): void {
  if (signal?.aborted)
    throw new SheafError("interrupted", `Interrupted; everything so far is kept in ${out}: run the same command with --resume to go on.`);
}

/** Trains what is not finished yet and returns all jobs' results by id. */
export async function trainJobs(
  jobs: readonly TrainingJob[],
  directory: RunDirectory,
  options: RunOptions,
): Promise<ReadonlyMap<string, FinishedJob>> {
  const results = new Map<string, FinishedJob>();
  for (const job of jobs) {
    const found = await directory.finished(job.id);
    if (found) results.set(job.id, { parameters: found.tensors, ...(found.facts as Omit<FinishedJob, "parameters">) });
  }
  if (results.size > 0) options.onEvent?.({ type: "resumed", finished: [...results.keys()] });
  const open = jobs
    .filter((job) => !results.has(job.id))
    .map((job) => ({
      ...job,
      checkpoint: {
        path: directory.at(join(runFiles.checkpoints, `${job.id}.checkpoint`)),
        everySeconds: options.config.checkpointSeconds,
      },
    }));
  await trainAll(open, {
    workers: options.config.workers ?? availableParallelism(),
    ...(options.signal ? { signal: options.signal } : {}),
    onProgress: (progress) => options.onEvent?.(progress),
    async onResult(result) {
      const facts = { curve: result.curve, seconds: Math.round(result.seconds * 1e3) / 1e3 };
      await directory.finish(result.job, result.parameters, facts);
      results.set(result.job, { parameters: result.parameters, ...facts });
      const last = result.curve.at(-1);
      await directory.log({ type: "trained", job: result.job, seconds: facts.seconds, loss: last?.loss, accuracy: last?.accuracy });
      options.onEvent?.({ type: "trained", job: result.job, seconds: facts.seconds, loss: last?.loss ?? 0, accuracy: last?.accuracy ?? 0 });
    },
  });
  return results;
}
