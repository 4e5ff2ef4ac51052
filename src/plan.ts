/** Public door of `plan/`: device profiles, costs on a device, task sets as a code, and the planner. */
export { type CatalogName, catalog, catalogNames, type SpeedBasis, speedBasis, sustainedMacs } from "./plan/catalog.ts";
export { groupPreferences } from "./plan/classGroups.ts";
export {
  type BranchCost,
  branchCost,
  type ComputeBreakdown,
  type Expected,
  expectedCost,
  type FleetCost,
  fleetCost,
  forwardsPerTrainingStep,
  parameterCopies,
  runtimeBaseBytes,
  type SettleCost,
  type SettleWork,
  settleCost,
  type Workload,
} from "./plan/cost.ts";
export { describePlan } from "./plan/describe.ts";
export { type DeviceProfile, type ProfileConfig, profileSchema, resolveProfile } from "./plan/device.ts";
export { type Plan, type PlannedDevice, planFleet } from "./plan/plan.ts";
export { type FleetDevice, narrowestWidth, type PlanRequest } from "./plan/request.ts";
export { type ShapeChoice, shaper, solveShape } from "./plan/shape.ts";
export { type ShapeProfile, shapeRecipe, shapeRecipes } from "./plan/shapeRecipes.ts";
export { assignTaskSets, type TaskSetRequest, type TaskSets } from "./plan/taskSets.ts";
