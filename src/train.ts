/** Public door of training on any platform: jobs, one-thread training, checkpoints, evaluation. */
export { type Checkpoint, type CheckpointStore, decodeCheckpoint, encodeCheckpoint, memoryCheckpoints } from "./train/checkpoint.ts";
export * from "./train/evaluate.ts";
export * from "./train/job.ts";
export * from "./train/trainer.ts";
