/** The pool's end of a worker thread; and the same without a thread. */
import { Worker } from "node:worker_threads";
import { SheafError } from "../util/errors.ts";
import type { TrainingJob, TrainingProgress, TrainingResult } from "./job.ts";
import { trainReporting } from "./trainer.node.ts";
import type { FromWorker, ToWorker } from "./workerMessages.ts";

/** Trains one job at a time. */
export interface TrainingWorker {
  run(job: TrainingJob, onProgress: (progress: TrainingProgress) => void): Promise<TrainingResult>;
  /** Makes the job under way write its checkpoint and fail with `interrupted`. */
  abort(): void;
  /** Ends an idle worker. */
  close(): Promise<void>;
}

/** Trains in this thread. */
export function openLocalWorker(): TrainingWorker {
  let controller = new AbortController();
  return {
    run(job, onProgress) {
      controller = new AbortController();
      return trainReporting(job, controller.signal, onProgress);
    },
    abort: () => controller.abort(),
    close: async () => undefined,
  };
}

interface Pending {
  readonly job: string;
  readonly onProgress: (progress: TrainingProgress) => void;
  readonly resolve: (result: TrainingResult) => void;
  readonly reject: (error: SheafError) => void;
}

function failureOf({ code, message, stack }: Extract<FromWorker, { type: "failed" }>): SheafError {
  const cause = new Error(message);
  cause.stack = stack ?? message;
  return new SheafError(code, message, { cause });
}

/** How long a closed worker may take to end by itself. */
const closeWithinMs = 5_000;

/** Starts a worker thread with the script at `url`. */
export function openThreadWorker(url: URL): TrainingWorker {
  // Not with this process's own flags: some, such as --input-type of code on standard input, a thread with a script refuses.
  const worker = new Worker(url, { execArgv: [] });
  let pending: Pending | undefined;
  let crash: string | undefined;
  let ended = false;
  const settle = (): Pending | undefined => {
    const settled = pending;
    pending = undefined;
    return settled;
  };
  const crashError = (job: string): SheafError =>
    new SheafError(
      "internal",
      `The worker thread that trained ${job} ended unexpectedly: ${crash}; run again with --resume to go on from the last checkpoint.`,
    );
  const exited = new Promise<void>((resolve) => {
    worker.on("exit", (exitCode) => {
      ended = true;
      crash ??= `exit code ${exitCode}`;
      const failed = settle();
      failed?.reject(crashError(failed.job));
      resolve();
    });
  });
  // Always followed by "exit".
  worker.on("error", (error: unknown) => {
    crash = error instanceof Error ? error.message : String(error);
  });
  worker.on("message", (message: FromWorker) => {
    if (message.type === "progress") pending?.onProgress(message);
    else if (message.type === "result") settle()?.resolve(message.result);
    else settle()?.reject(failureOf(message));
  });
  const tell = (message: ToWorker): void => worker.postMessage(message);
  return {
    run(job, onProgress) {
      return new Promise((resolve, reject) => {
        if (ended) reject(crashError(job.id));
        else {
          pending = { job: job.id, onProgress, resolve, reject };
          tell({ type: "train", job });
        }
      });
    },
    abort: () => tell({ type: "abort" }),
    async close() {
      tell({ type: "close" });
      const timer = setTimeout(() => void worker.terminate(), closeWithinMs);
      await exited;
      clearTimeout(timer);
    },
  };
}
