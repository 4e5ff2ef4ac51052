/** Training settings of a configuration: of the target, and of sub-models and the slim control. */
import type { Progressive } from "../compile/progressive.ts";
import type { ScheduleConfig } from "../compile/schedules.ts";
import type { TrainingSettings } from "../train/job.ts";
import type { RunConfig } from "./config.ts";
import { peakLearningRate, type WidthKind } from "./target.ts";

/** The schedule of a configuration, with the network's own learning rate where none is configured. */
export function scheduleOf(config: RunConfig, kind: WidthKind): ScheduleConfig {
  const { type, warmup } = config.training.schedule;
  const learningRate = peakLearningRate(config, kind);
  switch (type) {
    case "constant":
      return { type, learningRate };
    case "cosine":
      return { type, learningRate, warmup };
    case "oneCycle":
      return { type, learningRate, rise: warmup };
  }
}

/** Smaller images in the first epochs: of the target, or of sub-models and the slim control, which may have them alone. */
export function progressiveOf({ training, fleet }: RunConfig, kind: WidthKind): Progressive | undefined {
  return kind === "narrow" ? (fleet.progressive ?? training.progressive) : training.progressive;
}

/** Training settings of a configuration: of the target, or of sub-models and the slim control, which may have epochs of their own. */
export function trainingSettings(config: RunConfig, kind: WidthKind): TrainingSettings {
  const { epochs, batchSize, optimizer, labelSmoothing, emaDecay, augmentation, logitAdjustment } = config.training;
  const progressive = progressiveOf(config, kind);
  return {
    epochs: kind === "narrow" ? (config.fleet.epochs ?? epochs) : epochs,
    batchSize,
    optimizer,
    schedule: scheduleOf(config, kind),
    labelSmoothing,
    emaDecay,
    augmentation,
    ...(logitAdjustment > 0 ? { logitAdjustment } : {}),
    ...(progressive ? { progressive } : {}),
    // The processor is what training takes by itself.
    ...(config.training.provider === "webgpu" ? { provider: "webgpu" as const } : {}),
  };
}

/** Training settings of sub-models and the slim control in their own training. */
export function subModelSettings(config: RunConfig): TrainingSettings {
  const { hardShare } = config.fleet;
  return { ...trainingSettings(config, "narrow"), ...(hardShare < 1 ? { hardShare } : {}) };
}
