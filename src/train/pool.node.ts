/** Trains many jobs side by side, each in a worker thread with one ONNX Runtime thread. How many workers there are changes no result. */
import type { Dataset } from "../data/dataset.ts";
import { networkCost } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { checkJob, type TrainingJob, type TrainingProgress, type TrainingResult, totalSteps } from "./job.ts";
import { openLocalWorker, openThreadWorker, type TrainingWorker } from "./workerThread.node.ts";

export interface TrainAllOptions {
  /** Jobs trained at once, each on one core. 0: one after another in this thread. */
  readonly workers: number;
  /** Makes every job under way write its checkpoint and stop. */
  readonly signal?: AbortSignal;
  /** Called a few times per second for each job under way. */
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Called when a job ends, in the order in which they end. Its worker waits for it; when it fails, so does everything. */
  readonly onResult?: (result: TrainingResult) => void | Promise<void>;
  /** The result of a job that was finished earlier, which is then not trained again. */
  readonly finished?: (job: string) => TrainingResult | undefined | Promise<TrainingResult | undefined>;
  /** Script of the worker threads; for bundlers that move it. */
  readonly workerUrl?: URL;
}

function shared<T extends Uint8Array | Int16Array | Uint16Array | Float32Array>(array: T): T {
  if (array.buffer instanceof SharedArrayBuffer) return array;
  const copy = new (array.constructor as new (buffer: SharedArrayBuffer) => T)(new SharedArrayBuffer(array.byteLength));
  copy.set(array);
  return copy;
}

/** The jobs with each data set's samples and labels on shared memory, moved there once where they were not, and without what training does not read. */
function shareData(jobs: readonly TrainingJob[]): TrainingJob[] {
  const moved = new Map<Dataset, Dataset>();
  const share = (dataset: Dataset): Dataset => {
    const { coarse: _, audio, store, ...rest } = dataset;
    const result = moved.get(dataset) ?? {
      ...rest,
      store: store.type === "memory" ? { ...store, values: shared(store.values) } : store,
      labels: shared(dataset.labels),
      ...(audio && { audio: { ...audio, noise: shared(audio.noise) } }),
    };
    moved.set(dataset, result);
    return result;
  };
  return jobs.map((job) => ({ ...job, dataset: share(job.dataset) }));
}

/** Multiply-adds of a job, to within a factor that all jobs share. */
const expectedWork = (job: TrainingJob): number => totalSteps(job) * job.settings.batchSize * networkCost(job.network).macs;

function checkJobs(jobs: readonly TrainingJob[], workers: number): void {
  if (!Number.isInteger(workers) || workers < 0)
    throw new SheafError("config", `Workers must be a whole number, 0 or more, got ${workers}.`);
  const ids = new Set<string>();
  for (const job of jobs) {
    if (ids.has(job.id)) throw new SheafError("internal", `Two training jobs are called "${job.id}"; ids must be unique.`);
    ids.add(job.id);
    checkJob(job);
  }
}

/** Node cannot load TypeScript in a worker thread: run from its sources, the pool trains in this thread. */
const fromSources = import.meta.url.endsWith(".ts");

function workerOpener({ workers, workerUrl }: TrainAllOptions): () => TrainingWorker {
  if (workers === 0 || (fromSources && !workerUrl)) return openLocalWorker;
  return () => openThreadWorker(workerUrl ?? new URL("./worker.node.js", import.meta.url));
}

/**
 * Trains all jobs and returns their results in the order of the jobs. Long jobs are begun first.
 * On the signal every job under way writes its checkpoint, and `interrupted` is thrown once all have; likewise when a job fails,
 * with its error: `train`'s, or `internal` when a worker thread ended unexpectedly. Bad jobs are refused before any is begun.
 * @example const results = await trainAll(jobs, { workers: 2, onProgress: ({ job, loss }) => console.log(job, loss) });
 */
export async function trainAll(jobs: readonly TrainingJob[], options: TrainAllOptions): Promise<TrainingResult[]> {
  const { workers, signal, onProgress, onResult, finished } = options;
  checkJobs(jobs, workers);
  const results = new Map<string, TrainingResult>();
  for (const { id } of jobs) {
    const known = await finished?.(id);
    if (known) results.set(id, known);
  }
  const queue = shareData(jobs.filter(({ id }) => !results.has(id)))
    .map((job) => ({ job, work: expectedWork(job) }))
    .sort((a, b) => b.work - a.work)
    .map(({ job }) => job);

  let failure: unknown;
  const open = new Set<TrainingWorker>();
  const abortAll = (): void => {
    for (const worker of open) worker.abort();
  };
  const fail = (error: unknown): void => {
    failure ??= error;
    abortAll();
  };
  const openWorker = workerOpener(options);
  const serve = async (): Promise<void> => {
    const worker = openWorker();
    open.add(worker);
    try {
      while (failure === undefined && !signal?.aborted) {
        const job = queue.shift();
        if (!job) break;
        const result = await worker.run(job, (progress) => onProgress?.(progress));
        await onResult?.(result);
        results.set(job.id, result);
      }
    } catch (error) {
      fail(error);
    } finally {
      open.delete(worker);
      await worker.close();
    }
  };
  signal?.addEventListener("abort", abortAll);
  try {
    const count = openWorker === openLocalWorker ? 1 : workers;
    await Promise.all(Array.from({ length: Math.min(count, queue.length) }, serve));
  } finally {
    signal?.removeEventListener("abort", abortAll);
  }
  if (signal?.aborted && (failure === undefined || (failure instanceof SheafError && failure.code === "interrupted"))) {
    const kept = jobs.some((job) => job.checkpoint) ? "checkpoints are kept: run again with --resume to go on" : "no checkpoints are kept";
    throw new SheafError("interrupted", `Training was interrupted with ${results.size} of ${jobs.length} jobs done; ${kept}.`);
  }
  if (failure !== undefined) throw failure;
  return jobs.map(({ id }) => results.get(id) as TrainingResult);
}
