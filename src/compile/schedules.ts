/** Learning rate schedules: pure functions of the step, so that training can go on anywhere. Fractions count steps of the whole training. */
import { SheafError } from "../util/errors.ts";

/** Settings of every schedule, as they stand in a configuration. `learningRate` is the highest value reached. */
export interface ScheduleOptions {
  readonly constant: { readonly learningRate: number };
  /** Linear warm-up over the fraction `warmup` of all steps (0 by default), then a half cosine down to `end` times the peak (0 by default). */
  readonly cosine: { readonly learningRate: number; readonly warmup?: number; readonly end?: number };
  /**
   * Cosine up from `start` (1/25) times the peak over the fraction `warmup` (0.3) of all steps, then cosine down to `end` (1/250,000)
   * times the peak (Smith and Topin 2018; defaults of PyTorch's OneCycleLR).
   */
  readonly oneCycle: { readonly learningRate: number; readonly warmup?: number; readonly start?: number; readonly end?: number };
}
export type ScheduleType = keyof ScheduleOptions;
export type ScheduleConfig = { readonly [T in ScheduleType]: { readonly type: T } & ScheduleOptions[T] }[ScheduleType];

/** From `a` to `b` along half a cosine; `progress` from 0 to 1. */
const cosine = (a: number, b: number, progress: number): number => b + ((a - b) * (1 + Math.cos(Math.PI * progress))) / 2;

/** The total table of schedules: learning rate in step `step` of `steps`. */
export const schedules: {
  readonly [T in ScheduleType]: (options: ScheduleOptions[T], step: number, steps: number) => number;
} = {
  constant: ({ learningRate }) => learningRate,
  cosine: ({ learningRate, warmup = 0, end = 0 }, step, steps) => {
    const rising = Math.round(warmup * steps);
    if (step < rising) return (learningRate * (step + 1)) / rising;
    return cosine(learningRate, learningRate * end, (step - rising) / (steps - rising));
  },
  oneCycle: ({ learningRate, warmup = 0.3, start = 1 / 25, end = 1 / 250_000 }, step, steps) => {
    const top = Math.round(warmup * (steps - 1));
    if (step < top) return cosine(learningRate * start, learningRate, step / top);
    return cosine(learningRate, learningRate * end, (step - top) / Math.max(1, steps - 1 - top));
  },
};

/** Throws `config` unless the peak is a positive number and fractions lie in [0, 1]. */
export function checkSchedule(config: ScheduleConfig): void {
  if (!(config.learningRate > 0 && Number.isFinite(config.learningRate))) {
    throw new SheafError("config", `The learning rate of schedule "${config.type}" must be a positive number, got ${config.learningRate}.`);
  }
  const { warmup, start, end } = config as Partial<ScheduleOptions["oneCycle"]>;
  for (const [name, value] of Object.entries({ warmup, start, end })) {
    if (value !== undefined && !(value >= 0 && value <= 1)) {
      throw new SheafError("config", `"${name}" of schedule "${config.type}" must be a fraction from 0 to 1, got ${value}.`);
    }
  }
}

/**
 * The learning rate of step `step` (from 0) of a training of `steps` steps.
 * @example learningRateAt({ type: "cosine", learningRate: 0.1, warmup: 0.05 }, 0, 400); // 0.005
 */
export function learningRateAt(config: ScheduleConfig, step: number, steps: number): number {
  return (schedules[config.type] as (options: ScheduleConfig, step: number, steps: number) => number)(config, step, steps);
}
