/** Solves A X = B for a symmetric positive definite matrix by Cholesky's decomposition in float64, tile by tile. */
import { SheafError } from "../util/errors.ts";

/** Columns and rows of a tile: eight sums stay in registers, for six numbers read at each step. */
const [tileColumns, tileRows] = [4, 2];

/**
 * l[i, j] -= sum over k < j0 of l[i, k] l[j, k], for the rows i from `i0` and the columns j from `j0` of one tile of `l` [n, n].
 * On the diagonal it writes above it too, where nothing is read.
 */
function subtractProducts(l: Float64Array, n: number, i0: number, j0: number): void {
  const [a, b] = [i0 * n, (i0 + 1) * n];
  const [p, q, r, s] = [j0 * n, (j0 + 1) * n, (j0 + 2) * n, (j0 + 3) * n];
  let ap = 0;
  let aq = 0;
  let ar = 0;
  let as = 0;
  let bp = 0;
  let bq = 0;
  let br = 0;
  let bs = 0;
  for (let k = 0; k < j0; k++) {
    const x = l[a + k]!;
    const y = l[b + k]!;
    const lp = l[p + k]!;
    const lq = l[q + k]!;
    const lr = l[r + k]!;
    const ls = l[s + k]!;
    ap += x * lp;
    aq += x * lq;
    ar += x * lr;
    as += x * ls;
    bp += y * lp;
    bq += y * lq;
    br += y * lr;
    bs += y * ls;
  }
  l[a + j0] = l[a + j0]! - ap;
  l[a + j0 + 1] = l[a + j0 + 1]! - aq;
  l[a + j0 + 2] = l[a + j0 + 2]! - ar;
  l[a + j0 + 3] = l[a + j0 + 3]! - as;
  l[b + j0] = l[b + j0]! - bp;
  l[b + j0 + 1] = l[b + j0 + 1]! - bq;
  l[b + j0 + 2] = l[b + j0 + 2]! - br;
  l[b + j0 + 3] = l[b + j0 + 3]! - bs;
}

/** `matrix` [n, n] as the first rows and columns of a larger one, [size, size], which is the identity elsewhere. */
function padded(matrix: Float64Array, n: number, size: number): Float64Array {
  const result = new Float64Array(size * size);
  for (let i = 0; i < n; i++) result.set(matrix.subarray(i * n, i * n + i + 1), i * size);
  for (let i = n; i < size; i++) result[i * size + i] = 1;
  return result;
}

/** Makes `l` [size, size] the lower triangular L with A = L L^T; its lower triangle is A's before, and what is above is left undefined. */
function decompose(l: Float64Array, size: number): void {
  for (let i0 = 0; i0 < size; i0 += tileRows) {
    for (let j0 = 0; j0 < i0 + tileRows; j0 += tileColumns) {
      subtractProducts(l, size, i0, j0);
      for (let i = i0; i < i0 + tileRows; i++) {
        for (let j = j0; j <= Math.min(i, j0 + tileColumns - 1); j++) {
          let value = l[i * size + j]!;
          for (let k = j0; k < j; k++) value -= l[i * size + k]! * l[j * size + k]!;
          if (j < i) {
            l[i * size + j] = value / l[j * size + j]!;
            continue;
          }
          if (!(value > 0))
            throw new SheafError("diverged", `A system of equations is not positive definite (pivot ${value} at ${i}); raise the ridge.`);
          l[i * size + i] = Math.sqrt(value);
        }
      }
    }
  }
}

/**
 * X [columns, n], one solution a row, of A x = b for each row b of `rightSides` [columns, n]; `matrix` is A [n, n], symmetric, of which the lower
 * triangle is read. Throws `diverged` when A is not positive definite in float64.
 */
export function solvePositiveDefinite(matrix: Float64Array, n: number, rightSides: Float64Array): Float64Array {
  const size = Math.ceil(n / tileColumns) * tileColumns;
  const l = padded(matrix, n, size);
  decompose(l, size);
  const result = rightSides.slice();
  for (let start = 0; start < result.length; start += n) {
    const x = result.subarray(start, start + n);
    for (let i = 0; i < n; i++) {
      let value = x[i]!;
      for (let j = 0; j < i; j++) value -= l[i * size + j]! * x[j]!;
      x[i] = value / l[i * size + i]!;
    }
    // L^T x = y, column by column of L^T, so that memory is read in order.
    for (let i = n - 1; i >= 0; i--) {
      const value = x[i]! / l[i * size + i]!;
      x[i] = value;
      for (let j = 0; j < i; j++) x[j] = x[j]! - l[i * size + j]! * value;
    }
  }
  return result;
}
