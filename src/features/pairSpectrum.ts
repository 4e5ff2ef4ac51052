/**
 * Power spectra of two windows of a real signal by one complex fast Fourier transform: the first window is its real part, the second its imaginary part, and
 * the symmetry of real signals' spectra tells them apart again. Radix 4, decimation in frequency (Cooley and Tukey 1965), in place, all in float64;
 * windowing is part of the first stage, and bins are read where they come to lie instead of being sorted.
 */

/** Twiddle factors of one stage on blocks of `size`: for each j below size / 4 cosine and sine of -2 pi j r / size, r = 1, 2, 3. */
function twiddles(size: number): Float64Array {
  const factors = new Float64Array((6 * size) / 4);
  for (let j = 0; j < size / 4; j++) {
    for (let r = 1; r <= 3; r++) {
      const angle = (-2 * Math.PI * j * r) / size;
      factors[6 * j + 2 * r - 2] = Math.cos(angle);
      factors[6 * j + 2 * r - 1] = Math.sin(angle);
    }
  }
  return factors;
}

/** Where a transform of `size` points leaves bin `k`: the block of its last digit to the base 4, and there the rest of it. */
function placeOf(k: number, size: number): number {
  if (size <= 2) return k;
  return (k & 3) * (size / 4) + placeOf(k >> 2, size / 4);
}

/** Two windows of `wave`, beginning at `a` and `b`, times `window`, followed by zeros up to the size of `re` and `im`, through the first stage. */
function firstStage(
  re: Float64Array,
  im: Float64Array,
  factors: Float64Array,
  window: Float64Array,
  wave: Float32Array,
  a: number,
  b: number,
): void {
  const quarter = re.length >> 2;
  const length = window.length;
  for (let j = 0, p = 0; j < quarter; j = (j + 1) | 0, p = (p + 6) | 0) {
    const j1 = (j + quarter) | 0;
    const j2 = (j1 + quarter) | 0;
    const j3 = (j2 + quarter) | 0;
    let x0 = 0;
    let y0 = 0;
    let x1 = 0;
    let y1 = 0;
    let x2 = 0;
    let y2 = 0;
    let x3 = 0;
    let y3 = 0;
    if (j < length) {
      const w = window[j] as number;
      x0 = w * (wave[(a + j) | 0] as number);
      y0 = w * (wave[(b + j) | 0] as number);
    }
    if (j1 < length) {
      const w = window[j1] as number;
      x1 = w * (wave[(a + j1) | 0] as number);
      y1 = w * (wave[(b + j1) | 0] as number);
    }
    if (j2 < length) {
      const w = window[j2] as number;
      x2 = w * (wave[(a + j2) | 0] as number);
      y2 = w * (wave[(b + j2) | 0] as number);
    }
    if (j3 < length) {
      const w = window[j3] as number;
      x3 = w * (wave[(a + j3) | 0] as number);
      y3 = w * (wave[(b + j3) | 0] as number);
    }
    // The same butterfly as in `stage`; a function of its own would have to return eight numbers.
    const ax = x0 + x2;
    const ay = y0 + y2;
    const bx = x0 - x2;
    const by = y0 - y2;
    const cx = x1 + x3;
    const cy = y1 + y3;
    const dx = y1 - y3;
    const dy = x3 - x1;
    const ex = bx + dx;
    const ey = by + dy;
    const fx = ax - cx;
    const fy = ay - cy;
    const gx = bx - dx;
    const gy = by - dy;
    const c1 = factors[p] as number;
    const s1 = factors[p + 1] as number;
    const c2 = factors[p + 2] as number;
    const s2 = factors[p + 3] as number;
    const c3 = factors[p + 4] as number;
    const s3 = factors[p + 5] as number;
    re[j] = ax + cx;
    im[j] = ay + cy;
    re[j1] = ex * c1 - ey * s1;
    im[j1] = ex * s1 + ey * c1;
    re[j2] = fx * c2 - fy * s2;
    im[j2] = fx * s2 + fy * c2;
    re[j3] = gx * c3 - gy * s3;
    im[j3] = gx * s3 + gy * c3;
  }
}

/** A stage on all blocks of `size`, 8 or more. */
function stage(re: Float64Array, im: Float64Array, factors: Float64Array, size: number): void {
  const quarter = size >> 2;
  const points = re.length;
  // Blocks inside: their factors are loaded once.
  for (let j = 0, p = 0; j < quarter; j = (j + 1) | 0, p = (p + 6) | 0) {
    const c1 = factors[p] as number;
    const s1 = factors[p + 1] as number;
    const c2 = factors[p + 2] as number;
    const s2 = factors[p + 3] as number;
    const c3 = factors[p + 4] as number;
    const s3 = factors[p + 5] as number;
    for (let j0 = j; j0 < points; j0 = (j0 + size) | 0) {
      const j1 = (j0 + quarter) | 0;
      const j2 = (j1 + quarter) | 0;
      const j3 = (j2 + quarter) | 0;
      const x0 = re[j0] as number;
      const x1 = re[j1] as number;
      const x2 = re[j2] as number;
      const x3 = re[j3] as number;
      const y0 = im[j0] as number;
      const y1 = im[j1] as number;
      const y2 = im[j2] as number;
      const y3 = im[j3] as number;
      const ax = x0 + x2;
      const ay = y0 + y2;
      const bx = x0 - x2;
      const by = y0 - y2;
      const cx = x1 + x3;
      const cy = y1 + y3;
      const dx = y1 - y3;
      const dy = x3 - x1;
      const ex = bx + dx;
      const ey = by + dy;
      const fx = ax - cx;
      const fy = ay - cy;
      const gx = bx - dx;
      const gy = by - dy;
      re[j0] = ax + cx;
      im[j0] = ay + cy;
      re[j1] = ex * c1 - ey * s1;
      im[j1] = ex * s1 + ey * c1;
      re[j2] = fx * c2 - fy * s2;
      im[j2] = fx * s2 + fy * c2;
      re[j3] = gx * c3 - gy * s3;
      im[j3] = gx * s3 + gy * c3;
    }
  }
}

/** The last stage where blocks of 4 are left: all factors are 1. */
function lastFours(re: Float64Array, im: Float64Array): void {
  for (let j0 = 0; j0 < re.length; j0 = (j0 + 4) | 0) {
    const j1 = (j0 + 1) | 0;
    const j2 = (j0 + 2) | 0;
    const j3 = (j0 + 3) | 0;
    const x0 = re[j0] as number;
    const x1 = re[j1] as number;
    const x2 = re[j2] as number;
    const x3 = re[j3] as number;
    const y0 = im[j0] as number;
    const y1 = im[j1] as number;
    const y2 = im[j2] as number;
    const y3 = im[j3] as number;
    const ax = x0 + x2;
    const ay = y0 + y2;
    const bx = x0 - x2;
    const by = y0 - y2;
    const cx = x1 + x3;
    const cy = y1 + y3;
    const dx = y1 - y3;
    const dy = x3 - x1;
    re[j0] = ax + cx;
    im[j0] = ay + cy;
    re[j1] = bx + dx;
    im[j1] = by + dy;
    re[j2] = ax - cx;
    im[j2] = ay - cy;
    re[j3] = bx - dx;
    im[j3] = by - dy;
  }
}

/** The last stage where blocks of 2 are left, as with 8 or 32 points. */
function lastPairs(re: Float64Array, im: Float64Array): void {
  for (let j = 0; j < re.length; j += 2) {
    const x0 = re[j] as number;
    const x1 = re[j + 1] as number;
    const y0 = im[j] as number;
    const y1 = im[j + 1] as number;
    re[j] = x0 + x1;
    im[j] = y0 + y1;
    re[j + 1] = x0 - x1;
    im[j + 1] = y0 - y1;
  }
}

/** Transforms pairs of windows; its arrays are its own and hold until the next pair. */
export interface PairSpectrum {
  /** Power |X[k]|^2 of bins 0 to points / 2, of the first window and of the second. */
  readonly powers: readonly [Float64Array, Float64Array];
  /** Takes the windows of `wave` that begin at `a` and at `b`; both must lie in it whole. */
  transform(wave: Float32Array, a: number, b: number): void;
}

/**
 * For windows weighted by `window` and followed by zeros up to `points`, a power of two of at least 4 and at least the window's length. Its buffers are made once; a
 * transform allocates nothing. A window's powers depend on its partner in the last bits alone, on nothing else that was transformed.
 * @example const { powers, transform } = openPairSpectrum(hannWindow(640), 1024);
 */
export function openPairSpectrum(window: Float64Array, points: number): PairSpectrum {
  const [re, im] = [new Float64Array(points), new Float64Array(points)];
  // The two spectra are half the sum and half the difference of mirrored bins: halving the window beforehand is exact.
  const halved = window.map((weight) => weight / 2);
  const first = twiddles(points);
  const stages: { readonly size: number; readonly factors: Float64Array }[] = [];
  let size = points / 4;
  for (; size > 4; size /= 4) stages.push({ size, factors: twiddles(size) });
  const last = size === 4 ? lastFours : size === 2 ? lastPairs : undefined;
  const bins = points / 2 + 1;
  const places = Uint32Array.from({ length: bins }, (_, k) => placeOf(k, points));
  const mirrored = Uint32Array.from({ length: bins }, (_, k) => placeOf((points - k) % points, points));
  const powers = [new Float64Array(bins), new Float64Array(bins)] as const;
  const [powersA, powersB] = powers;

  return {
    powers,
    transform(wave, a, b) {
      firstStage(re, im, first, halved, wave, a, b);
      for (const { size: block, factors } of stages) stage(re, im, factors, block);
      last?.(re, im);
      for (let k = 0; k < bins; k++) {
        const at = places[k] as number;
        const mirror = mirrored[k] as number;
        const x = re[at] as number;
        const y = im[at] as number;
        const u = re[mirror] as number;
        const v = im[mirror] as number;
        powersA[k] = (x + u) * (x + u) + (y - v) * (y - v);
        powersB[k] = (y + v) * (y + v) + (x - u) * (x - u);
      }
    },
  };
}
