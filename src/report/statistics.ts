/** The little inference that a report makes: how far an accuracy on a finite test set can be trusted. */

/** Two-sided 95 % quantile of the normal distribution. */
const z95 = 1.959964;

/**
 * Wilson score interval, 95 %, for a share `p` seen in `n` independent trials (Wilson 1927, J. Am. Stat. Assoc. 22).
 * Unlike p plus or minus two standard errors it stays inside 0 to 1 and does not shrink to nothing at p = 1.
 */
export function wilsonInterval(p: number, n: number): { readonly low: number; readonly high: number } {
  if (n <= 0) return { low: 0, high: 1 };
  const z2 = z95 * z95;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (z95 / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Test samples of each class: the row sums of a confusion matrix. */
export function rowSums(confusion: readonly (readonly number[])[]): number[] {
  return confusion.map((row) => row.reduce((sum, value) => sum + value, 0));
}

/** A pair of classes that a classifier mixes up. */
export interface Confusion {
  readonly truth: number;
  readonly predicted: number;
  readonly count: number;
  /** Of the samples of the true class. */
  readonly share: number;
}

/** Wrong answers by pair of classes, the most frequent first; equal counts in class order. */
export function confusionsByCount(confusion: readonly (readonly number[])[]): Confusion[] {
  const totals = rowSums(confusion);
  const pairs: Confusion[] = [];
  confusion.forEach((row, truth) => {
    row.forEach((value, predicted) => {
      if (value > 0 && predicted !== truth) pairs.push({ truth, predicted, count: value, share: value / (totals[truth] ?? 1) });
    });
  });
  return pairs.sort((a, b) => b.count - a.count || a.truth - b.truth || a.predicted - b.predicted);
}
