/** Learning rate as a function of the step. Steps count from 0; the last one of `steps` is `steps - 1`. */
import { SheafError } from "../util/errors.ts";

/** Settings of every schedule, as they stand in a configuration. Fractions are of all steps. */
export interface ScheduleOptions {
  /** The peak throughout, but for a linear warm-up over the fraction `warmup` of all steps (0 by default). */
  readonly constant: { readonly learningRate: number; readonly warmup?: number };
  /**
   * Rises linearly to `learningRate` in the first `warmup` (0 by default), then falls along half a cosine
   * to `learningRate * finalFraction` (0 by default) (Loshchilov and Hutter 2017).
   */
  readonly cosine: { readonly learningRate: number; readonly warmup?: number; readonly finalFraction?: number };
  /**
   * Rises along half a cosine from `learningRate / startDivisor` (25 by default) to `learningRate` in the first `rise` (0.3 by default),
   * then falls likewise to `learningRate / finalDivisor` (10,000 by default) (Smith and Topin 2017).
   */
  readonly oneCycle: {
    readonly learningRate: number;
    readonly rise?: number;
    readonly startDivisor?: number;
    readonly finalDivisor?: number;
  };
}
export type ScheduleType = keyof ScheduleOptions;
export type ScheduleConfig = { readonly [T in ScheduleType]: { readonly type: T } & ScheduleOptions[T] }[ScheduleType];

/** From `from` at 0 to `to` at 1 along half a cosine. */
const halfCosine = (from: number, to: number, at: number): number => to + ((from - to) * (1 + Math.cos(Math.PI * at))) / 2;

/** How far `step` is on the way from `first` to `last`, from 0 to 1; arrived where there is no way to go. */
const progress = (step: number, first: number, last: number): number => (last > first ? (step - first) / (last - first) : 1);

/** The total table of schedules: rate at `step` of `steps`. */
export const schedules: { readonly [T in ScheduleType]: (options: ScheduleOptions[T], step: number, steps: number) => number } = {
  constant: ({ learningRate, warmup = 0 }, step, steps) => learningRate * Math.min(1, (step + 1) / Math.max(1, Math.round(warmup * steps))),
  cosine: ({ learningRate, warmup = 0, finalFraction = 0 }, step, steps) => {
    const rising = Math.round(warmup * steps);
    // The first of the rising steps has a rate above 0, or it would be lost; the first step after them has the peak.
    if (step < rising) return (learningRate * (step + 1)) / (rising + 1);
    return halfCosine(learningRate, learningRate * finalFraction, step === rising ? 0 : progress(step, rising, steps - 1));
  },
  oneCycle: ({ learningRate, rise = 0.3, startDivisor = 25, finalDivisor = 10_000 }, step, steps) => {
    const peak = Math.round(rise * (steps - 1));
    if (step < peak) return halfCosine(learningRate / startDivisor, learningRate, progress(step, 0, peak));
    return halfCosine(learningRate, learningRate / finalDivisor, step === peak ? 0 : progress(step, peak, steps - 1));
  },
};

const inUnit = (value: number | undefined): boolean => value === undefined || (value >= 0 && value <= 1);
const atLeastOne = (value: number | undefined): boolean => value === undefined || (value >= 1 && Number.isFinite(value));

/** Throws `config` where a setting is out of range. */
export function checkSchedule(config: ScheduleConfig): void {
  const require = (holds: boolean, name: string, range: string): void => {
    const value = (config as unknown as Record<string, unknown>)[name];
    if (!holds) throw new SheafError("config", `Schedule "${config.type}": ${name} must be ${range}, got ${value}.`);
  };
  require(config.learningRate > 0 && Number.isFinite(config.learningRate), "learningRate", "a positive number");
  if (config.type === "cosine") {
    require(inUnit(config.warmup), "warmup", "between 0 and 1");
    require(inUnit(config.finalFraction), "finalFraction", "between 0 and 1");
  }
  if (config.type === "oneCycle") {
    require(inUnit(config.rise), "rise", "between 0 and 1");
    require(atLeastOne(config.startDivisor), "startDivisor", "at least 1");
    require(atLeastOne(config.finalDivisor), "finalDivisor", "at least 1");
  }
}

/**
 * Learning rate of `step` (0 to `steps - 1`) out of `steps`.
 *
 * @example
 * ```
 * learningRateAt({ type: "cosine", learningRate: 0.1, warmup: 0.1 }, 10, 100); // 0.1, the peak
 * ```
 */
export function learningRateAt(config: ScheduleConfig, step: number, steps: number): number {
  return (schedules[config.type] as (options: ScheduleConfig, step: number, steps: number) => number)(config, step, steps);
}
