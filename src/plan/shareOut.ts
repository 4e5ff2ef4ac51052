/** Whole numbers in proportion to weights, between bounds. */

/**
 * Shares `total` out: every entry gets its `least`, then one unit at a time goes to the entry that is furthest below its proportion
 * (highest averages, Jefferson's method), the earlier of equals, never past its `most`. The sum is `total` wherever the bounds allow it.
 * @example shareOut(10, [1, 4], [1, 1], [10, 10]) // [2, 8]
 */
export function shareOut(total: number, weights: readonly number[], least: readonly number[], most: readonly number[]): readonly number[] {
  const shares = least.map((amount, i) => Math.min(amount, most[i] as number));
  let left = total - shares.reduce((sum, share) => sum + share, 0);
  for (; left > 0; left--) {
    let best = -1;
    let highest = Number.NEGATIVE_INFINITY;
    for (const [i, share] of shares.entries()) {
      const average = (weights[i] as number) / (share + 1);
      if (share < (most[i] as number) && average > highest) {
        best = i;
        highest = average;
      }
    }
    if (best < 0) break;
    shares[best] = (shares[best] as number) + 1;
  }
  return shares;
}
