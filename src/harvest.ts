/** Public door of `harvest/`: the gate for what devices upload, statistics that add, heads, and the global model. */
export { defaultNormLimits, inspectHarvest, type NormLimits } from "./harvest/gate.ts";
export {
  assembleGlobal,
  branchGraph,
  type GlobalCost,
  type GlobalModelOptions,
  globalCost,
} from "./harvest/globalModel.ts";
export { type BranchLayout, type BranchPlace, type Harvested, layOut } from "./harvest/harvested.ts";
export type { Head, HeadType } from "./harvest/heads.ts";
export { freeHead, rescaledHead } from "./harvest/logProbabilityHeads.ts";
export { type HeadSource, makeHead } from "./harvest/makeHead.ts";
export {
  chooseRidge,
  defaultRidge,
  meanSquaredError,
  type RidgeSolution,
  type RidgeTrial,
  ridgeCandidates,
  ridgeHead,
  solveRidge,
} from "./harvest/ridgeHead.ts";
export {
  addStatistics,
  type DeviceStatistics,
  decodeStatistics,
  emptyStatistics,
  encodeStatistics,
  type Moments,
  statisticsBytes,
} from "./harvest/statistics.ts";
export {
  compileStatistics,
  computeStatistics,
  type StatisticsOptions,
  type StatisticsProgram,
  statisticsMacs,
} from "./harvest/statisticsPass.ts";
