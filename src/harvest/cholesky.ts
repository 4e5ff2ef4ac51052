/** Solves A X = B for a symmetric positive definite matrix by Cholesky's decomposition, float64, row by row. */
import { SheafError } from "../util/errors.ts";

/** Dot product of the first `count` values of two rows, in four sums that the processor can overlap. */
function dot(a: Float64Array, b: Float64Array, count: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < count; i += 4) {
    s0 += (a[i] as number) * (b[i] as number);
    s1 += (a[i + 1] as number) * (b[i + 1] as number);
    s2 += (a[i + 2] as number) * (b[i + 2] as number);
    s3 += (a[i + 3] as number) * (b[i + 3] as number);
  }
  for (; i < count; i++) s0 += (a[i] as number) * (b[i] as number);
  return s0 + s1 + (s2 + s3);
}

/** Rows of the lower triangular L with A = L L^T. Reads the lower triangle of `matrix` [n, n] only. */
function decompose(matrix: Float64Array, n: number): readonly Float64Array[] {
  const rows = Array.from({ length: n }, (_, i) => matrix.slice(i * n, i * n + i + 1));
  for (let i = 0; i < n; i++) {
    const row = rows[i] as Float64Array;
    for (let j = 0; j < i; j++) {
      const other = rows[j] as Float64Array;
      row[j] = ((row[j] as number) - dot(row, other, j)) / (other[j] as number);
    }
    const pivot = (row[i] as number) - dot(row, row, i);
    if (!(pivot > 0)) {
      throw new SheafError("diverged", `A system of ${n} equations is not positive definite (pivot ${pivot} at ${i}); raise the ridge.`);
    }
    row[i] = Math.sqrt(pivot);
  }
  return rows;
}

/**
 * X [columns, n], one solution a row, of A x = b for each row b of `rightSides` [columns, n]; `matrix` is A [n, n], symmetric.
 * Throws `diverged` when A is not positive definite in float64.
 */
export function solvePositiveDefinite(matrix: Float64Array, n: number, rightSides: Float64Array): Float64Array {
  const rows = decompose(matrix, n);
  const result = rightSides.slice();
  for (let start = 0; start < result.length; start += n) {
    const x = result.subarray(start, start + n);
    for (let i = 0; i < n; i++) {
      const row = rows[i] as Float64Array;
      x[i] = ((x[i] as number) - dot(row, x, i)) / (row[i] as number);
    }
    // L^T x = y, column by column of L^T, so that memory is read in order.
    for (let i = n - 1; i >= 0; i--) {
      const row = rows[i] as Float64Array;
      const value = (x[i] as number) / (row[i] as number);
      x[i] = value;
      for (let j = 0; j < i; j++) x[j] = (x[j] as number) - (row[j] as number) * value;
    }
  }
  return result;
}
