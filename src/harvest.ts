/** Public door of `harvest/`: the gate for what devices upload, statistics that add, heads, and the global model. */
export { chooseShrinkage, defaultShrinkage, discriminantHead, solveDiscriminants } from "./harvest/discriminantHead.ts";
export { overAllBranches, withoutBranches } from "./harvest/erasure.ts";
export { expansionWeights } from "./harvest/expansion.ts";
export { defaultNormLimits, inspectHarvest, type NormLimits } from "./harvest/gate.ts";
export {
  assembleGlobal,
  branchGraph,
  type GlobalCost,
  type GlobalModelOptions,
  globalCost,
} from "./harvest/globalModel.ts";
export { type BranchLayout, type BranchPlace, type Harvested, layOut } from "./harvest/harvested.ts";
export { basisWidth, type Head, type HeadBasis, type HeadType, headBases, headTypes } from "./harvest/heads.ts";
export { freeHead, rescaledHead } from "./harvest/logProbabilityHeads.ts";
export { type HeadSource, type MadeHead, makeHead, makeTunedHead } from "./harvest/makeHead.ts";
export {
  chooseRidge,
  defaultRidge,
  type LinearMap,
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
  type StatisticsWidths,
  statisticsBytes,
} from "./harvest/statistics.ts";
export {
  compileStatistics,
  computeStatistics,
  type StatisticsExtras,
  type StatisticsOptions,
  type StatisticsProgram,
  statisticsMacs,
} from "./harvest/statisticsPass.ts";
