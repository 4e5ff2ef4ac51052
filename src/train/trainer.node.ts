/** `train` with what Node brings: native ONNX Runtime, data sets and checkpoints in files. */
import { openSamples } from "../data/samples.node.ts";
import { openSession } from "../runtime/session.node.ts";
import { fileCheckpoints } from "./checkpoint.node.ts";
import type { TrainingJob, TrainingProgress, TrainingResult } from "./job.ts";
import { train } from "./trainer.ts";

/**
 * Trains a job in this thread on one core; its checkpoint is the file that the job names, if it names one. As `train` otherwise.
 * @example for await (const { step, steps, loss } of trainHere(job)) console.log(`${step}/${steps} ${loss}`);
 */
export function trainHere(
  job: TrainingJob,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<TrainingProgress, TrainingResult, void> {
  return train(job, {
    ...options,
    openSession,
    openSamples,
    ...(job.checkpoint ? { checkpoints: fileCheckpoints(job.checkpoint.path) } : {}),
  });
}

/** Time between two reports of one job's progress. */
const progressEveryMs = 200;

/** Runs a job to its end, with a few reports of progress per second; the last step is always reported. */
export async function trainReporting(
  job: TrainingJob,
  signal: AbortSignal,
  onProgress: (progress: TrainingProgress) => void,
): Promise<TrainingResult> {
  const training = trainHere(job, { signal });
  let reportedAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { done, value } = await training.next();
    if (done) return value;
    const now = performance.now();
    if (now - reportedAt >= progressEveryMs || value.step === value.steps) {
      onProgress(value);
      reportedAt = now;
    }
  }
}
