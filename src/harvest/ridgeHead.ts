/** H2: ridge regression of the class on the branches' features, from summed statistics alone. */
import { SheafError } from "../util/errors.ts";
import { floats } from "../util/tensor.ts";
import { solvePositiveDefinite } from "./cholesky.ts";
import type { Head } from "./heads.ts";
import type { DeviceStatistics } from "./statistics.ts";

/** A linear map in float64; `weight` [classes, features], `bias` [classes]. Its scores estimate the probability of each class. */
export interface RidgeSolution {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

const sum = (values: Float64Array): number => values.reduce((total, v) => total + v, 0);

/** Sum of the features over all samples, whatever their class. */
function featureTotal({ features: { width, sums }, classCount }: DeviceStatistics): Float64Array {
  return Float64Array.from({ length: width }, (_, i) => sum(sums.subarray(i * classCount, (i + 1) * classCount)));
}

/**
 * The minimizer of mean |W x + b - onehot(class)|^2 + lambda |W|^2 over all samples in the sums, b not penalized:
 * W = (C + lambda I)^-1 S with C the covariance of the features and S their covariance with the one-hot labels (Hoerl and Kennard 1970).
 * lambda = `ridge` * trace(C) / features, so that one value of `ridge` suits branches of any scale.
 * However the samples are split over devices, the sums and so the solution are the same up to rounding.
 * Throws `config` when `ridge` is negative, `data` when the statistics hold no samples, `diverged` when the system is singular.
 */
export function solveRidge(statistics: DeviceStatistics, ridge: number): RidgeSolution {
  const { classCount, counts, features } = statistics;
  const { width, gram, sums } = features;
  const samples = sum(counts);
  if (!(ridge >= 0 && ridge < Infinity)) throw new SheafError("config", `The ridge must be a number of at least 0, got ${ridge}.`);
  if (samples === 0)
    throw new SheafError("data", "Ridge regression needs statistics of at least one sample, got none; run the statistics pass.");
  const mean = featureTotal(statistics).map((v) => v / samples);
  const covariance = new Float64Array(width * width);
  let trace = 0;
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++)
      covariance[i * width + j] = (gram[i * width + j] as number) / samples - (mean[i] as number) * (mean[j] as number);
    trace += covariance[i * width + i] as number;
  }
  // Features that never vary say nothing: any positive lambda makes their weights 0.
  const lambda = trace > 0 ? (ridge * trace) / width : 1;
  for (let i = 0; i < width; i++) covariance[i * width + i] = (covariance[i * width + i] as number) + lambda;
  const share = counts.map((count) => count / samples);
  const cross = new Float64Array(classCount * width);
  for (let c = 0; c < classCount; c++) {
    for (let i = 0; i < width; i++)
      cross[c * width + i] = (sums[i * classCount + c] as number) / samples - (mean[i] as number) * (share[c] as number);
  }
  const weight = solvePositiveDefinite(covariance, width, cross);
  const bias = share.map(
    (p, c) => p - weight.subarray(c * width, (c + 1) * width).reduce((total, w, i) => total + w * (mean[i] as number), 0),
  );
  return { weight, bias };
}

/** Mean over samples and classes of (score - onehot)^2, from sums alone; the samples need not be those the solution was made from. */
export function meanSquaredError({ weight, bias }: RidgeSolution, statistics: DeviceStatistics): number {
  const { classCount, counts, features } = statistics;
  const { width, gram, sums } = features;
  const samples = sum(counts);
  const total = featureTotal(statistics);
  let error = 0;
  for (let c = 0; c < classCount; c++) {
    const w = weight.subarray(c * width, (c + 1) * width);
    const b = bias[c] as number;
    const count = counts[c] as number;
    // sum (w x + b - y)^2 = w' G w + 2 b w' t + n b^2 - 2 w' s_c - 2 b n_c + n_c
    error += samples * b * b - 2 * b * count + count;
    for (let i = 0; i < width; i++) {
      let product = 2 * b * (total[i] as number) - 2 * (sums[i * classCount + c] as number);
      for (let j = 0; j < width; j++) product += (gram[i * width + j] as number) * (w[j] as number);
      error += (w[i] as number) * product;
    }
  }
  return error / (samples * classCount);
}

/** Ridges that `chooseRidge` tries when none are given. */
export const ridgeCandidates: readonly number[] = [1e-4, 1e-3, 1e-2, 0.1, 1, 10];
/** Ridge when there are no held-out statistics to choose by; how it was picked, and what that costs, stands in docs/results.md. */
export const defaultRidge = 0.01;

/** A ridge with its error on held-out samples. */
export interface RidgeTrial {
  readonly ridge: number;
  readonly heldOutError: number;
}

/**
 * Tries each ridge and returns all trials, and the one with the least squared error on held-out samples (of equals, the larger ridge).
 * Both statistics are sums, so the choice too is made without seeing a sample. Held out means: not trained on by the branches either.
 * Throws `config` without candidates.
 */
export function chooseRidge(
  train: DeviceStatistics,
  heldOut: DeviceStatistics,
  candidates: readonly number[] = ridgeCandidates,
): { readonly ridge: number; readonly trials: readonly RidgeTrial[] } {
  const trials = candidates.map((ridge) => ({ ridge, heldOutError: meanSquaredError(solveRidge(train, ridge), heldOut) }));
  const best = [...trials].sort((a, b) => a.heldOutError - b.heldOutError || b.ridge - a.ridge)[0];
  if (!best) throw new SheafError("config", "Choosing a ridge needs at least one candidate.");
  return { ridge: best.ridge, trials };
}

/**
 * The H2 head. The scores of a ridge regression estimate probabilities and differ by less than 1, which a softmax would flatten; so logits are
 * the scores divided by twice their mean squared error. For two classes that is the slope of the linear discriminant (Fisher's). One positive factor for all classes: their order is the regression's own.
 * Throws as `solveRidge`.
 */
export function ridgeHead(statistics: DeviceStatistics, ridge: number = defaultRidge): Head {
  const solution = solveRidge(statistics, ridge);
  // The floor keeps a perfect fit from claiming certainty.
  const slope = 1 / (2 * Math.max(meanSquaredError(solution, statistics), 1e-3));
  const { classCount, features } = statistics;
  return {
    type: "H2",
    on: "features",
    weight: floats(
      "float32",
      [classCount, features.width],
      solution.weight.map((w) => w * slope),
    ),
    bias: floats(
      "float32",
      [classCount],
      solution.bias.map((v) => v * slope),
    ),
  };
}
