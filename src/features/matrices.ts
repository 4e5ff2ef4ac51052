/** The constants of audio features in float64, each in one place: `extract.ts` computes with them, `graph.ts` writes them into graphs. Row-major. */
import type { AudioFeatures } from "./features.ts";

/** Hertz to mel by the formula of HTK (Young et al., The HTK Book; O'Shaughnessy 1987). */
export const hzToMel = (hz: number): number => 2595 * Math.log10(1 + hz / 700);
/** Mel to hertz; undoes `hzToMel`. */
export const melToHz = (mel: number): number => 700 * (10 ** (mel / 2595) - 1);

/** Periodic Hann window: 1/2 - 1/2 cos(2 pi n / length). */
export function hannWindow(length: number): Float64Array {
  return Float64Array.from({ length }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / length));
}

/** Edges of the mel filters in hertz, `melBands + 2` of them: filter m rises from edge m to its peak at edge m + 1 and falls to edge m + 2. */
export function melEdges(f: AudioFeatures): Float64Array {
  const [low, high] = [hzToMel(f.minHz), hzToMel(f.maxHz)];
  return Float64Array.from({ length: f.melBands + 2 }, (_, i) => melToHz(low + ((high - low) * i) / (f.melBands + 1)));
}

/** Triangular mel filters [fftSize / 2 + 1, melBands] with peaks of 1, not normalized by area: a band is a weighted sum of the power spectrum. */
export function melFilterbank(f: AudioFeatures): Float64Array {
  const bins = f.fftSize / 2 + 1;
  const edges = melEdges(f);
  const weights = new Float64Array(bins * f.melBands);
  for (let band = 0; band < f.melBands; band++) {
    const [left, peak, right] = edges.subarray(band, band + 3) as unknown as readonly [number, number, number];
    for (let bin = 0; bin < bins; bin++) {
      const hz = (bin * f.sampleRate) / f.fftSize;
      weights[bin * f.melBands + band] = Math.max(0, Math.min((hz - left) / (peak - left), (right - hz) / (right - peak)));
    }
  }
  return weights;
}

/** Whether a frequency of the transform lies strictly between the edges of each mel filter. */
export function usedBands(f: AudioFeatures): readonly boolean[] {
  const edges = melEdges(f);
  const spacing = f.sampleRate / f.fftSize;
  return Array.from({ length: f.melBands }, (_, band) => {
    const next = (Math.floor((edges[band] as number) / spacing) + 1) * spacing;
    return next < (edges[band + 2] as number);
  });
}

/** The first `coefficients` columns of the orthonormal DCT-II over `bands` values: [bands, coefficients]. */
export function dctMatrix(bands: number, coefficients: number): Float64Array {
  const matrix = new Float64Array(bands * coefficients);
  for (let band = 0; band < bands; band++) {
    for (let k = 0; k < coefficients; k++) {
      const scale = Math.sqrt((k === 0 ? 1 : 2) / bands);
      matrix[band * coefficients + k] = scale * Math.cos((Math.PI * (band + 0.5) * k) / bands);
    }
  }
  return matrix;
}
