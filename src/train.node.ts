/** Public door of training in Node: worker threads and checkpoints in files. */
export { fileCheckpoints } from "./train/checkpoint.node.ts";
export { type TrainAllOptions, trainAll } from "./train/pool.node.ts";
export { trainHere } from "./train/trainer.node.ts";
export * from "./train.ts";
