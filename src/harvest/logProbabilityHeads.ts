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
 * else of log p(other): a matrix of zeros and ones over the log-probabilities. The bias is 0, or `bias`: see `unownedBias`.
 * Throws `config` when the branches do not go together or own a class that does not exist.
 */
export function freeHead(subModels: readonly SubModel[], classCount: number, bias: ArrayLike<number> = new Float64Array(classCount)): Head {
  const layout = layOut(subModels);
  checkClasses(layout.branches, classCount);
  const weight = zeros("float32", [classCount, layout.logProbabilities]);
  for (const c of classIds(classCount)) {
    for (const branch of layout.branches) weight.data[c * layout.logProbabilities + columnOf(branch, c)] = 1;
  }
  return { type: "H0", on: "logProbabilities", weight, bias: floats("float32", [classCount], bias) };
}

/**
 * Log prior of each column of each branch: its share of the samples the branch was trained on, by Laplace's rule of succession
 * (count + 1) / (samples + columns), which keeps a class without samples, such as "other" of a device without background, finite.
 */
export function logPriors(harvested: readonly Harvested[]): Float64Array {
  const layout = layOut(harvested.map((h) => h.subModel));
  const result = new Float64Array(layout.logProbabilities);
  harvested.forEach(({ classCounts, madeSamples = 0, logitAdjustment = 0 }, d) => {
    const branch = layout.branches[d] as BranchPlace;
    const [start, end] = branch.logProbabilities;
    const counts = new Float64Array(end - start);
    classCounts.forEach((count, c) => {
      const column = columnOf(branch, c) - start;
      counts[column] = (counts[column] as number) + count;
    });
    counts[counts.length - 1] = (counts.at(-1) ?? 0) + madeSamples;
    const samples = counts.reduce((a, b) => a + b, 0);
    counts.forEach((count, i) => {
      result[start + i] = (1 - logitAdjustment) * Math.log((count + 1) / (samples + counts.length));
    });
  });
  return result;
}

/**
 * What a class that no branch owns must be given beside its log-probabilities, by class; 0 for every other class.
 *
 * p(other) of a branch is the sum over the classes that the branch does not own, so for one of them it says too much: of the n classes behind
 * "other", u of them owned by nobody, an unowned one has the share 1/n where no other branch knows better, and 1/u where the other branches have ruled
 * out all the rest. Halfway between, its logarithm is -log(n u) / 2; that much is taken for each owner that a class has on the mean, as the owners are where an owned class
 * says log p(own) instead. And training saw "other" more or less often than an own class: the log priors' difference is taken too, unless `recentred`
 * says that the scores are free of priors already (then what that took beyond the half is given back). `scales` are the branches' factors.
 * A branch that saw no background knows nothing of "other" and counts for nothing.
 */
export function unownedBias(harvested: readonly Harvested[], classCount: number, recentred: boolean, scales?: Float64Array): Float64Array {
  const { branches } = layOut(harvested.map((h) => h.subModel));
  const shift = logPriors(harvested);
  const owned = classIds(classCount).filter((c) => branches.some(({ taskSet }) => taskSet.includes(c)));
  const unowned = classCount - owned.length;
  const result = new Float64Array(classCount);
  if (unowned === 0 || owned.length === 0) return result;
  let sum = 0;
  for (const [d, branch] of branches.entries()) {
    const { taskSet, logProbabilities } = branch;
    const seen = harvested[d]?.classCounts.some((count, c) => count > 0 && !taskSet.includes(c)) ?? false;
    if (!seen) continue;
    const share = Math.log((classCount - taskSet.length) / unowned) / 2;
    for (const c of taskSet) {
      const prior = recentred ? 0 : (shift[logProbabilities[1] - 1] as number) - (shift[columnOf(branch, c)] as number);
      sum += (scales?.[d] ?? 1) * (share - prior);
    }
  }
  for (const c of classIds(classCount)) if (!owned.includes(c)) result[c] = sum / owned.length;
  return result;
}

/**
 * One factor per branch, from summed statistics: the slope of the least squares line from the branch's scores to the truth, over all samples
 * and classes, sum cov(z_c, y_c) / sum var(z_c), where y_c is 1 for samples of class c, z_c is the branch's log-probability for class c, and
 * both are centred over classes, which is what a softmax does not see. A branch whose scores vary with nothing gets 0, never less.
 * Returned with mean 1, since a common factor changes no decision; all ones where the sums tell nothing.
 *
 * Slopes are fitted branch by branch, because a joint fit of all factors can all but switch a good branch off where branches overlap.
 */
export function branchScales(branches: readonly BranchPlace[], statistics: DeviceStatistics): Float64Array {
  const { classCount: classes, counts, logProbabilities } = statistics;
  const { gram, sums, width } = logProbabilities;
  const samples = counts.reduce((a, b) => a + b, 0);
  if (samples === 0) return new Float64Array(branches.length).fill(1);
  const mean = Float64Array.from(
    { length: width },
    (_, l) => sums.subarray(l * classes, (l + 1) * classes).reduce((a, b) => a + b, 0) / samples,
  );
  const covariance = (l: number, m: number): number =>
    (gram[l * width + m] as number) / samples - (mean[l] as number) * (mean[m] as number);
  const withLabel = (l: number, c: number): number =>
    (sums[l * classes + c] as number) / samples - ((mean[l] as number) * (counts[c] as number)) / samples;
  const slopes = branches.map((branch) => {
    const columns = classIds(classes).map((c) => columnOf(branch, c));
    let [shared, varied] = [0, 0];
    columns.forEach((l, c) => {
      shared += withLabel(l, c);
      varied += covariance(l, l);
      // Centring over classes takes the mean over classes from both; the labels' covariances with any one column sum to 0.
      for (const m of columns) varied -= covariance(l, m) / classes;
    });
    return varied > 0 ? Math.max(0, shared / varied) : 0;
  });
  const average = slopes.reduce((a, b) => a + b, 0) / slopes.length;
  return Float64Array.from(slopes, (slope) => (average > 0 ? slope / average : 1));
}

/**
 * H1: H0 on log-likelihood ratios instead of log-probabilities. From each branch's log p its log prior is taken (what it would say without looking,
 * known from `classCounts`), then each branch is multiplied by a factor of its own, fitted to the summed statistics by `branchScales`.
 * Classes that nobody owns get their `unownedBias`. Still linear in the log-probabilities. Equal priors and equal factors give H0, up to a bias common to all classes.
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
  const scales = branchScales(layout.branches, statistics);
  const extra = unownedBias(harvested, classCount, true, scales);
  return weighted(layout.branches, layout.logProbabilities, classCount, shift, scales, extra);
}

/** The head whose logit of class c is extra[c] and the sum over branches of scale * (log p - shift); its biases are centred, so that equal ones vanish. */
export function weighted(
  branches: readonly BranchPlace[],
  width: number,
  classCount: number,
  shift: Float64Array,
  scales: Float64Array,
  extra: Float64Array = new Float64Array(classCount),
): Head {
  const weight = zeros("float32", [classCount, width]);
  const bias = extra.slice();
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
