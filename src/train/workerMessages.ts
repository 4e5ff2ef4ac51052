/** What the pool and a worker thread say to each other. Both ends are of one build, so messages are typed and not checked. */
import type { ErrorCode } from "../util/errors.ts";
import type { TrainingJob, TrainingProgress, TrainingResult } from "./job.ts";

/** To a worker: train a job, one at a time; stop the job under way after its step; end when idle. */
export type ToWorker = { readonly type: "train"; readonly job: TrainingJob } | { readonly type: "abort" } | { readonly type: "close" };

/** From a worker: progress of its job, and then its result or why it failed. */
export type FromWorker =
  | TrainingProgress
  | { readonly type: "result"; readonly result: TrainingResult }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string; readonly stack: string | undefined };
