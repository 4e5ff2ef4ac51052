/** H0 and H1: heads that weigh the branches' own log-probabilities. */
import type { SubModel } from "../decouple/subModel.ts";
import { SheafError } from "../util/errors.ts";
import { floats, zeros } from "../util/tensor.ts";
import { type BranchPlace, columnOf, type Harvested, layOut } from "./harvested.ts";
import type { Head } from "./heads.ts";
import type { DeviceStatistics } from "./statistics.ts";

const classIds = (classCount: number): number[] => Array.from({ length: classCount }, (_, c) => c);

function checkClasses(branches: readonly BranchPlace[], classCount: number): void {
  for (const { device, taskSet } of branches) {
    const foreign = taskSet.find((c) => !(c >= 0 && c < classCount));
    if (foreign !== undefined)
      throw new SheafError("config", `Device "${device}" owns class ${foreign}, but there are classes 0 to ${classCount - 1} only.`);
  }
}

/**
 * H0, which needs no statistics: a product of experts. The logit of class c is the sum over devices of log p(c) where the device owns c,
 * else of log p(other): a matrix of zeros and ones over the log-probabilities, bias 0.
 * Throws `config` when the branches do not go together or own a class that does not exist.
 */
export function freeHead(subModels: readonly SubModel[], classCount: number): Head {
  const layout = layOut(subModels);
  checkClasses(layout.branches, classCount);
  const weight = zeros("float32", [classCount, layout.logProbabilities]);
  for (const c of classIds(classCount)) {
    for (const branch of layout.branches) weight.data[c * layout.logProbabilities + columnOf(branch, c)] = 1;
  }
  return { type: "H0", on: "logProbabilities", weight, bias: zeros("float32", [classCount]) };
}

/**
 * Log prior of each column of each branch: its share of the samples the branch was trained on, by Laplace's rule of succession
 * (count + 1) / (samples + columns), which keeps a class without samples, such as "other" of a device without background, finite.
 */
export function logPriors(harvested: readonly Harvested[]): Float64Array {
  const layout = layOut(harvested.map((h) => h.subModel));
  const result = new Float64Array(layout.logProbabilities);
  harvested.forEach(({ classCounts }, d) => {
    const branch = layout.branches[d] as BranchPlace;
    const [start, end] = branch.logProbabilities;
    const counts = new Float64Array(end - start);
    classCounts.forEach((count, c) => {
      const column = columnOf(branch, c) - start;
      counts[column] = (counts[column] as number) + count;
    });
    const samples = counts.reduce((a, b) => a + b, 0);
    counts.forEach((count, i) => {
      result[start + i] = Math.log((count + 1) / (samples + counts.length));
    });
  });
  return result;
}

/**
 * Least squares for one non-negative factor per branch: minimizes over all samples in the sums
 * sum |sum_d a_d (z_d - mean of z_d over classes) - (onehot - 1 / classes)|^2, where z_d(c) is branch d's recentred log-probability for class c.
 * Centring over classes is what the softmax does not see. Returned with mean 1, since a common factor changes no decision;
 * all ones where the sums tell nothing.
 */
export function branchScales(branches: readonly BranchPlace[], shift: Float64Array, statistics: DeviceStatistics): Float64Array {
  const { classCount: classes, counts, logProbabilities } = statistics;
  const { gram, sums, width } = logProbabilities;
  const samples = counts.reduce((a, b) => a + b, 0);
  const sumOf = (l: number): number => sums.subarray(l * classes, (l + 1) * classes).reduce((a, b) => a + b, 0);
  const totals = Float64Array.from({ length: width }, (_, l) => sumOf(l));
  /** Sum over samples of z_l * z_m, for columns l and m. */
  const product = (l: number, m: number): number => {
    const [rl, rm] = [shift[l] as number, shift[m] as number];
    return (gram[l * width + m] as number) - rm * (totals[l] as number) - rl * (totals[m] as number) + samples * rl * rm;
  };
  const columns = branches.map((branch) => classIds(classes).map((c) => columnOf(branch, c)));
  const normal = columns.map((own) =>
    columns.map((other) => {
      let [matched, all] = [0, 0];
      own.forEach((l, c) => {
        matched += product(l, other[c] as number);
        for (const m of other) all += product(l, m);
      });
      return matched - all / classes;
    }),
  );
  const target = columns.map((own) => {
    let [matched, all] = [0, 0];
    own.forEach((l, c) => {
      matched += (sums[l * classes + c] as number) - (shift[l] as number) * (counts[c] as number);
      all += (totals[l] as number) - (shift[l] as number) * samples;
    });
    return matched - all / classes;
  });
  return unitMean(nonNegativeLeastSquares(normal, target));
}

function unitMean(scales: Float64Array): Float64Array {
  const mean = scales.reduce((a, b) => a + b, 0) / scales.length;
  return mean > 0 ? scales.map((a) => a / mean) : scales.map(() => 1);
}

/** Minimizes a'Ha / 2 - g'a over a >= 0 by cyclic coordinate descent, which converges for any positive semidefinite H. */
function nonNegativeLeastSquares(normal: readonly (readonly number[])[], target: readonly number[]): Float64Array {
  const scales = new Float64Array(target.length);
  for (let sweep = 0; sweep < 1000; sweep++) {
    let change = 0;
    normal.forEach((row, d) => {
      const diagonal = row[d] as number;
      if (!(diagonal > 0)) return;
      const rest = row.reduce((s, h, e) => (e === d ? s : s + h * (scales[e] as number)), 0);
      const next = Math.max(0, ((target[d] as number) - rest) / diagonal);
      change = Math.max(change, Math.abs(next - (scales[d] as number)));
      scales[d] = next;
    });
    if (change <= 1e-12 * Math.max(...scales)) break;
  }
  return scales;
}

/**
 * H1: H0 on log-likelihood ratios instead of log-probabilities. From each branch's log p its log prior is taken (what it would say without looking,
 * known from `classCounts`), then each branch is multiplied by a factor of its own, fitted to the summed statistics by `branchScales`.
 * Still linear in the log-probabilities. Equal priors and equal factors give H0, up to a bias common to all classes.
 * Throws `config` when the branches do not go together, `corrupt` when the statistics are of other branches.
 */
export function rescaledHead(harvested: readonly Harvested[], classCount: number, statistics: DeviceStatistics): Head {
  const layout = layOut(harvested.map((h) => h.subModel));
  checkClasses(layout.branches, classCount);
  if (statistics.logProbabilities.width !== layout.logProbabilities || statistics.classCount !== classCount) {
    throw new SheafError(
      "corrupt",
      `Statistics of ${statistics.logProbabilities.width} log-probabilities and ${statistics.classCount} classes do not belong to branches with ${layout.logProbabilities} and ${classCount}; run the statistics pass over these branches.`,
    );
  }
  const shift = logPriors(harvested);
  return weighted(layout.branches, layout.logProbabilities, classCount, shift, branchScales(layout.branches, shift, statistics));
}

/** The head whose logit of class c is the sum over branches of scale * (log p - shift); its biases are centred, so that equal ones vanish. */
export function weighted(
  branches: readonly BranchPlace[],
  width: number,
  classCount: number,
  shift: Float64Array,
  scales: Float64Array,
): Head {
  const weight = zeros("float32", [classCount, width]);
  const bias = new Float64Array(classCount);
  for (const c of classIds(classCount)) {
    branches.forEach((branch, d) => {
      const column = columnOf(branch, c);
      weight.data[c * width + column] = scales[d] as number;
      bias[c] = (bias[c] as number) - (scales[d] as number) * (shift[column] as number);
    });
  }
  const mean = bias.reduce((a, b) => a + b, 0) / classCount;
  return {
    type: "H1",
    on: "logProbabilities",
    weight,
    bias: floats(
      "float32",
      [classCount],
      bias.map((v) => v - mean),
    ),
  };
}
