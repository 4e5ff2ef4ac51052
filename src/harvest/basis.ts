/** Moments of what a head stands on, put together from the kinds of columns that were summed. */
import { SheafError } from "../util/errors.ts";
import type { HeadBasis } from "./heads.ts";
import type { DeviceStatistics, Moments } from "./statistics.ts";

/** Sums of the columns that a linear head reads. */
export interface Basis {
  readonly classCount: number;
  readonly counts: Float64Array;
  readonly samples: number;
  readonly moments: Moments;
  /** Numbers of columns of each kind, in order; each kind has a scale, and so a penalty, of its own. */
  readonly kinds: readonly number[];
  /** Mean of each column over all samples. */
  readonly mean: Float64Array;
}

/** Sum of a list. */
export const total = (values: Float64Array): number => values.reduce((sum, v) => sum + v, 0);

/** Moments of two kinds of columns side by side; `cross` [a, b] is the sum of their products. */
function sideBySide(a: Moments, b: Moments, cross: Float64Array, classCount: number): Moments {
  const width = a.width + b.width;
  const gram = new Float64Array(width * width);
  for (let i = 0; i < a.width; i++) {
    gram.set(a.gram.subarray(i * a.width, (i + 1) * a.width), i * width);
    for (let j = 0; j < b.width; j++) {
      const value = cross[i * b.width + j] as number;
      gram[i * width + a.width + j] = value;
      gram[(a.width + j) * width + i] = value;
    }
  }
  for (let j = 0; j < b.width; j++) gram.set(b.gram.subarray(j * b.width, (j + 1) * b.width), (a.width + j) * width + a.width);
  const sums = new Float64Array(width * classCount);
  sums.set(a.sums);
  sums.set(b.sums, a.sums.length);
  return { width, gram, sums };
}

function parts(statistics: DeviceStatistics, on: HeadBasis): readonly [Moments, readonly number[]] {
  const { features, logProbabilities, expanded, crossScores, crossExpanded, classCount } = statistics;
  const missing = (what: string): never => {
    throw new SheafError("config", `The statistics hold no ${what}; compile the statistics pass with them, or choose another head.`);
  };
  switch (on) {
    case "features":
      return [features, [features.width]];
    case "logProbabilities":
      return [logProbabilities, [logProbabilities.width]];
    case "featuresAndScores": {
      const joint = sideBySide(
        features,
        logProbabilities,
        crossScores ?? missing("products of features and log-probabilities"),
        classCount,
      );
      return [joint, [features.width, logProbabilities.width]];
    }
    case "featuresAndExpansion": {
      const second = expanded ?? missing("sums of an expansion");
      const joint = sideBySide(features, second, crossExpanded ?? missing("products with an expansion"), classCount);
      return [joint, [features.width, second.width]];
    }
  }
}

/** A basis of given moments. */
export function basisOf(
  moments: Moments,
  { classCount, counts }: Pick<DeviceStatistics, "classCount" | "counts">,
  kinds: readonly number[] = [moments.width],
): Basis {
  const samples = total(counts);
  const mean = Float64Array.from(
    { length: moments.width },
    (_, i) => total(moments.sums.subarray(i * classCount, (i + 1) * classCount)) / samples,
  );
  return { classCount, counts, samples, moments, kinds, mean };
}

/** The sums that a head on `on` is made from. Throws `config` when the statistics hold no such sums, `data` when they hold no samples. */
export function basisOn(statistics: DeviceStatistics, on: HeadBasis): Basis {
  if (total(statistics.counts) === 0)
    throw new SheafError("data", "A head needs statistics of at least one sample, got none; run the statistics pass.");
  const [moments, kinds] = parts(statistics, on);
  return basisOf(moments, statistics, kinds);
}

/** Moments of `weight` x, with `weight` [rows, width]: what a head on linear combinations of the columns is made from. */
export function projected(basis: Basis, weight: Float64Array): Basis {
  const { moments, classCount } = basis;
  const { width, gram, sums } = moments;
  const rows = weight.length / width;
  const half = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < width; i++) {
      const w = weight[r * width + i] as number;
      if (w === 0) continue;
      for (let j = 0; j < width; j++) half[r * width + j] = (half[r * width + j] as number) + w * (gram[i * width + j] as number);
    }
  }
  const result: Moments = { width: rows, gram: new Float64Array(rows * rows), sums: new Float64Array(rows * classCount) };
  for (let r = 0; r < rows; r++) {
    for (let q = 0; q < rows; q++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (half[r * width + i] as number) * (weight[q * width + i] as number);
      result.gram[r * rows + q] = sum;
    }
    for (let c = 0; c < classCount; c++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (weight[r * width + i] as number) * (sums[i * classCount + c] as number);
      result.sums[r * classCount + c] = sum;
    }
  }
  return basisOf(result, basis);
}

/** Covariance of the columns over all samples, [width, width], lower triangle. */
export function covariance({ moments: { gram, width }, mean, samples }: Basis): Float64Array {
  const result = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++)
      result[i * width + j] = (gram[i * width + j] as number) / samples - (mean[i] as number) * (mean[j] as number);
  }
  return result;
}

/**
 * Adds `ridge` times the mean diagonal element of each kind of columns to the diagonal, in place, so that one value of `ridge` suits branches of any
 * scale and kinds of different scales. Columns of a kind that never varies say nothing: they get 1, which makes their weights 0.
 */
export function penalize(matrix: Float64Array, width: number, kinds: readonly number[], ridge: number): void {
  if (!(ridge >= 0 && ridge < Infinity)) throw new SheafError("config", `The ridge must be a number of at least 0, got ${ridge}.`);
  let start = 0;
  for (const columns of kinds) {
    let trace = 0;
    for (let i = start; i < start + columns; i++) trace += matrix[i * width + i] as number;
    const lambda = trace > 0 ? (ridge * trace) / columns : 1;
    for (let i = start; i < start + columns; i++) matrix[i * width + i] = (matrix[i * width + i] as number) + lambda;
    start += columns;
  }
}
