/** The door `sheaf/run` (Node): whole runs and single trainings, as the command line does them. */

export { applyAssignments } from "./run/assignments.ts";
export { type BaselineEvent, type BaselineRunOptions, runBaseline } from "./run/baseline.ts";
export type { BaselineAccount, BaselinePoint, BaselineResult } from "./run/baselineResult.ts";
export { configJsonSchema, type DeviceConfig, parseConfig, type RunConfig } from "./run/config.ts";
export { type RunDirectory, readFinished, runFiles } from "./run/directory.ts";
export { type Exported, type ExportPart, exportPart } from "./run/exportRun.ts";
export { type LoadedData, loadData } from "./run/loadData.ts";
export { type ModelFile, openModelFile } from "./run/modelFile.ts";
export type { RunEvent, RunOptions } from "./run/options.ts";
export { type PreparedDevice, type PreparedRun, prepareRun, spread } from "./run/prepare.ts";
export type { DeviceAccount, RunOutcome, RunResult } from "./run/result.ts";
export { run } from "./run/run.ts";
export { type TrainResult, trainOne } from "./run/trainOne.ts";
