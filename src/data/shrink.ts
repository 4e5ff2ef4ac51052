/** Smaller images by averaging areas, for batches in training layout. */
import type { SampleShape } from "./dataset.ts";

/** For each of `to` pixels, the first of `from` pixels that it covers, and how much of each it covers, in shares that add up to 1. */
function coverings(from: number, to: number): readonly { readonly first: number; readonly shares: readonly number[] }[] {
  const step = from / to;
  return Array.from({ length: to }, (_, i) => {
    const [start, end] = [i * step, (i + 1) * step];
    const first = Math.floor(start + 1e-9);
    const last = Math.max(first + 1, Math.ceil(end - 1e-9));
    const shares = Array.from({ length: last - first }, (__, k) => (Math.min(end, first + k + 1) - Math.max(start, first + k)) / step);
    return { first, shares };
  });
}

/** into[outer, to, inner] = the averages of from[outer, from, inner] along the middle. */
function average(
  into: Float32Array,
  from: Float32Array,
  outer: number,
  inner: number,
  extent: number,
  covered: ReturnType<typeof coverings>,
): void {
  for (let o = 0; o < outer; o++) {
    covered.forEach(({ first, shares }, i) => {
      const to = (o * covered.length + i) * inner;
      shares.forEach((share, k) => {
        const source = (o * extent + first + k) * inner;
        if (k === 0) for (let j = 0; j < inner; j++) into[to + j] = share * (from[source + j] as number);
        else for (let j = 0; j < inner; j++) into[to + j] = (into[to + j] as number) + share * (from[source + j] as number);
      });
    });
  }
}

/**
 * A function that writes `count` samples of `shape`, batch innermost [C, H, W, N], as [C, height, width, N]: each pixel the mean of the area that it covers,
 * which of half the size is that of 2x2 pixels.
 * @example const shrink = openShrink({ channels: 3, height: 32, width: 32 }, { height: 16, width: 16 }, 64); shrink(small, whole);
 */
export function openShrink(
  { channels, height, width }: SampleShape,
  to: { readonly height: number; readonly width: number },
  count: number,
): (into: Float32Array, from: Float32Array) => void {
  const rows = coverings(height, to.height);
  const columns = coverings(width, to.width);
  const between = new Float32Array(channels * to.height * width * count);
  return (into, from) => {
    average(between, from, channels, width * count, height, rows);
    average(into, between, channels * to.height, count, width, columns);
  };
}
