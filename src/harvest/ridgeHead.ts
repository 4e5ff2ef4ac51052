/** H2, H3 and H4: ridge regression of the class on what the branches give, from summed statistics alone. */
import { SheafError } from "../util/errors.ts";
import { floats } from "../util/tensor.ts";
import { type Basis, basisOn, covariance, penalize } from "./basis.ts";
import { solvePositiveDefinite } from "./cholesky.ts";
import type { Head, HeadBasis } from "./heads.ts";
import type { DeviceStatistics } from "./statistics.ts";

/** A linear map in float64; `weight` [classes, columns], `bias` [classes]. */
export interface LinearMap {
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** A linear map whose scores estimate the probability of each class. */
export type RidgeSolution = LinearMap;

/** `solveRidge` on sums that are put together already. */
export function solveOn(basis: Basis, ridge: number): RidgeSolution {
  const { classCount, counts, samples, mean, moments, kinds } = basis;
  const { width, sums } = moments;
  const matrix = covariance(basis);
  penalize(matrix, width, kinds, ridge);
  const share = counts.map((count) => count / samples);
  const cross = new Float64Array(classCount * width);
  for (let c = 0; c < classCount; c++) {
    for (let i = 0; i < width; i++)
      cross[c * width + i] = (sums[i * classCount + c] as number) / samples - (mean[i] as number) * (share[c] as number);
  }
  const weight = solvePositiveDefinite(matrix, width, cross);
  const bias = share.map((p, c) => p - weight.subarray(c * width, (c + 1) * width).reduce((sum, w, i) => sum + w * (mean[i] as number), 0));
  return { weight, bias };
}

/** `meanSquaredError` on sums that are put together already. */
export function errorOn({ weight, bias }: RidgeSolution, { classCount, counts, samples, mean, moments }: Basis): number {
  const { width, gram, sums } = moments;
  let error = 0;
  for (let c = 0; c < classCount; c++) {
    const w = weight.subarray(c * width, (c + 1) * width);
    const b = bias[c] as number;
    const count = counts[c] as number;
    // sum (w x + b - y)^2 = w' G w + 2 b w' t + n b^2 - 2 w' s_c - 2 b n_c + n_c
    error += samples * b * b - 2 * b * count + count;
    for (let i = 0; i < width; i++) {
      let product = 2 * b * samples * (mean[i] as number) - 2 * (sums[i * classCount + c] as number);
      for (let j = 0; j < width; j++) product += (gram[i * width + j] as number) * (w[j] as number);
      error += (w[i] as number) * product;
    }
  }
  return error / (samples * classCount);
}

/**
 * The minimizer of mean |W x + b - onehot(class)|^2 + lambda |W|^2 over all samples in the sums, b not penalized:
 * W = (C + lambda I)^-1 S with C the covariance of the columns x and S their covariance with the one-hot labels (Hoerl and Kennard 1970).
 * lambda = `ridge` * trace(C) / columns, so that one value of `ridge` suits branches of any scale; where `on` names two kinds of columns, each kind
 * has its own. However the samples are split over devices, the sums and so the solution are the same up to rounding.
 * Throws `config` when `ridge` is negative or the statistics hold no sums of `on`, `data` when they hold no samples, `diverged` when the system is singular.
 */
export function solveRidge(statistics: DeviceStatistics, ridge: number, on: HeadBasis = "features"): RidgeSolution {
  return solveOn(basisOn(statistics, on), ridge);
}

/** Mean over samples and classes of (score - onehot)^2, from sums alone; the samples need not be those the solution was made from. */
export function meanSquaredError(solution: RidgeSolution, statistics: DeviceStatistics, on: HeadBasis = "features"): number {
  return errorOn(solution, basisOn(statistics, on));
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

/** Tries each candidate; the best is the one of least error, of equals the larger. Throws `config` without candidates. */
export function leastError(
  candidates: readonly number[],
  errorOf: (candidate: number) => number,
): { readonly ridge: number; readonly trials: readonly RidgeTrial[] } {
  const trials = candidates.map((ridge) => ({ ridge, heldOutError: errorOf(ridge) }));
  const best = [...trials].sort((a, b) => a.heldOutError - b.heldOutError || b.ridge - a.ridge)[0];
  if (!best) throw new SheafError("config", "Choosing a ridge needs at least one candidate.");
  return { ridge: best.ridge, trials };
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
  on: HeadBasis = "features",
): { readonly ridge: number; readonly trials: readonly RidgeTrial[] } {
  if (candidates.length === 0) return leastError(candidates, () => 0);
  const [seen, unseen] = [basisOn(train, on), basisOn(heldOut, on)];
  return leastError(candidates, (ridge) => errorOn(solveOn(seen, ridge), unseen));
}

/** Which heads are ridge regressions, and on what. */
const ridgeBases = { H2: "features", H3: "featuresAndScores", H4: "featuresAndExpansion" } as const;

/**
 * The H2 head, or by `type` H3 or H4 (whose expansion is to be added). The scores of a ridge regression estimate probabilities and differ by less than
 * 1, which a softmax would flatten; so logits are the scores divided by twice their mean squared error. For two classes that is the slope of the linear
 * discriminant (Fisher's). One positive factor for all classes: their order is the regression's own.
 * Throws as `solveRidge`.
 */
export function ridgeHead(statistics: DeviceStatistics, ridge: number = defaultRidge, type: keyof typeof ridgeBases = "H2"): Head {
  const on = ridgeBases[type];
  const basis = basisOn(statistics, on);
  const solution = solveOn(basis, ridge);
  // The floor keeps a perfect fit from claiming certainty.
  const slope = 1 / (2 * Math.max(errorOn(solution, basis), 1e-3));
  const { classCount } = statistics;
  return {
    type,
    on,
    weight: floats(
      "float32",
      [classCount, basis.moments.width],
      solution.weight.map((w) => w * slope),
    ),
    bias: floats(
      "float32",
      [classCount],
      solution.bias.map((v) => v * slope),
    ),
  };
}
