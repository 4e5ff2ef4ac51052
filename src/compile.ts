/** The door `sheaf/compile`: training steps and deployable models as ONNX graphs. */
export { compileActivations } from "./compile/activations.ts";
export { compileInference, deployNetwork, type InferenceOptions, type InputOptions } from "./compile/deploy.ts";
export { initialParameters } from "./compile/initialize.ts";
export type { JointLossOptions } from "./compile/jointLoss.ts";
export { chain, type OptimizerConfig, type OptimizerPiece, optimizer, optimizers } from "./compile/optimizers.ts";
export { learningRateAt, type ScheduleConfig, schedules } from "./compile/schedules.ts";
export {
  compileTraining,
  initialState,
  type Port,
  type PortRole,
  stateBytes,
  type TrainingOptions,
  type TrainingProgram,
} from "./compile/training.ts";
