/** H5: the linear discriminant of the branches' features, all classes sharing one covariance, from summed statistics alone. */
import { floats } from "../util/tensor.ts";
import { type Basis, basisOn, penalize, projected } from "./basis.ts";
import { solvePositiveDefinite } from "./cholesky.ts";
import type { Head } from "./heads.ts";
import { errorOn, type LinearMap, leastError, type RidgeTrial, ridgeCandidates, solveOn } from "./ridgeHead.ts";
import type { DeviceStatistics } from "./statistics.ts";

/** Shrinkage when there are no held-out statistics to choose by. */
export const defaultShrinkage = 0.01;
/** Bias of a class without samples, which is never the answer; far below what discriminants of real features come to. */
const neverBias = -1e6;
/** Keeps the readout of discriminants, whose sum is constant, solvable. */
const readoutRidge = 1e-8;

/** The covariance of the features around their class's mean, [width, width], lower triangle. */
function pooledCovariance({ moments: { width, gram, sums }, counts, classCount, samples }: Basis): Float64Array {
  const result = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let value = gram[i * width + j] as number;
      for (let c = 0; c < classCount; c++) {
        const count = counts[c] as number;
        if (count > 0) value -= ((sums[i * classCount + c] as number) * (sums[j * classCount + c] as number)) / count;
      }
      result[i * width + j] = value / samples;
    }
  }
  return result;
}

function discriminantsOn(basis: Basis, shrinkage: number): LinearMap {
  const { moments, counts, classCount, samples, mean } = basis;
  const { width, sums } = moments;
  const matrix = pooledCovariance(basis);
  penalize(matrix, width, basis.kinds, shrinkage);
  // A mean of covariance and sphere, not their sum: its size stays that of the data, and so that of the logits beside the log priors.
  for (let i = 0; i < matrix.length; i++) matrix[i] = (matrix[i] as number) / (1 + shrinkage);
  // Around the mean of all samples, which changes no posterior and keeps the numbers small.
  const offsets = new Float64Array(classCount * width);
  for (let c = 0; c < classCount; c++) {
    const count = counts[c] as number;
    for (let i = 0; i < width; i++)
      offsets[c * width + i] = count > 0 ? (sums[i * classCount + c] as number) / count - (mean[i] as number) : 0;
  }
  const weight = solvePositiveDefinite(matrix, width, offsets);
  const bias = Float64Array.from(counts, (count, c) => {
    if (count === 0) return neverBias;
    let sum = Math.log(count / samples);
    for (let i = 0; i < width; i++)
      sum -= (weight[c * width + i] as number) * ((mean[i] as number) + (offsets[c * width + i] as number) / 2);
    return sum;
  });
  return { weight, bias };
}

/**
 * Fisher's linear discriminant for several classes (Rao 1948): with m_c the mean of class c, m that of all samples, and P the mean, with weights 1 and
 * `shrinkage`, of the covariance C around the class means and the sphere of the same size, (C + shrinkage trace(C)/features I) / (1 + shrinkage) (Friedman 1989),
 * logit(c) = (m_c - m)' P^-1 (x - m) - (m_c - m)' P^-1 (m_c - m) / 2 + log(n_c / n): the log posterior of normal classes of one covariance, up to a
 * constant. A class without samples gets no weight and a bias of -1e6.
 * Throws `config` when `shrinkage` is negative, `data` when the statistics hold no samples, `diverged` when the system is singular.
 */
export function solveDiscriminants(statistics: DeviceStatistics, shrinkage: number): LinearMap {
  return discriminantsOn(basisOn(statistics, "features"), shrinkage);
}

/**
 * Tries each shrinkage, and returns all trials and the one whose discriminants tell the class best on held-out samples: least squared error of the best
 * linear readout of the discriminants there (of equals, the larger shrinkage). Sums suffice for that too; discriminants fitted too closely are of too
 * large a scale, which a readout fitted on their own samples would take for uselessness.
 * Throws `config` without candidates.
 */
export function chooseShrinkage(
  train: DeviceStatistics,
  heldOut: DeviceStatistics,
  candidates: readonly number[] = ridgeCandidates,
): { readonly ridge: number; readonly trials: readonly RidgeTrial[] } {
  const [seen, unseen] = [basisOn(train, "features"), basisOn(heldOut, "features")];
  return leastError(candidates, (shrinkage) => {
    const { weight } = discriminantsOn(seen, shrinkage);
    const discriminants = projected(unseen, weight);
    return errorOn(solveOn(discriminants, readoutRidge), discriminants);
  });
}

/** The H5 head. Throws as `solveDiscriminants`. */
export function discriminantHead(statistics: DeviceStatistics, shrinkage: number = defaultShrinkage): Head {
  const { weight, bias } = solveDiscriminants(statistics, shrinkage);
  const { classCount, features } = statistics;
  return {
    type: "H5",
    on: "features",
    weight: floats("float32", [classCount, features.width], weight),
    bias: floats("float32", [classCount], bias),
  };
}
