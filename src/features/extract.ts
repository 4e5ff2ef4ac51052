/**
 * Audio features by a fast Fourier transform, for training and evaluation. The same code in Node and in browsers, all in float64 until the result is
 * stored: engines may differ in the last bit of a sine or a logarithm, which leaves no more than the rounding of a float32.
 */
import { fft } from "fourier-transform";
import { SheafError } from "../util/errors.ts";
import { type AudioFeatures, checkAudioFeatures, featureWidth, frameCount, hopSamples, windowSamples } from "./features.ts";
import { dctMatrix, hannWindow, melFilterbank } from "./matrices.ts";

/** Turns clips of one length into features. */
export interface Extractor {
  /**
   * `wave` has the clip's samples in [-1, 1]; `into` gets [frames, bands or coefficients], row by row, and may be a part of a larger buffer.
   * Throws `data` when one of them has another length.
   */
  extract(wave: Float32Array, into: Float32Array): void;
}

/** A mel filter without its zeros. */
interface Filter {
  readonly start: number;
  readonly weights: Float64Array;
}

function sparseFilters(f: AudioFeatures): readonly Filter[] {
  const dense = melFilterbank(f);
  const bins = dense.length / f.melBands;
  return Array.from({ length: f.melBands }, (_, band) => {
    const column = Float64Array.from({ length: bins }, (_, bin) => dense[bin * f.melBands + band] as number);
    const start = column.findIndex((weight) => weight > 0);
    return { start, weights: column.slice(start, column.findLastIndex((weight) => weight > 0) + 1) };
  });
}

/**
 * An extractor for clips of `samples` samples. Its buffers are made once; a call allocates nothing.
 * Throws `config` for settings that `checkAudioFeatures` refuses and for a clip shorter than a window.
 * @example openExtractor(defaultAudioFeatures, 16000).extract(wave, new Float32Array(49 * 40));
 */
export function openExtractor(f: AudioFeatures, samples: number): Extractor {
  checkAudioFeatures(f);
  const frames = frameCount(f, samples);
  const width = featureWidth(f);
  const hop = hopSamples(f);
  const window = hannWindow(windowSamples(f));
  const filters = sparseFilters(f);
  const firstBin = Math.min(...filters.map(({ start }) => start));
  const endBin = Math.max(...filters.map(({ start, weights }) => start + weights.length));
  const dct = f.type === "mfcc" ? dctMatrix(f.melBands, width) : undefined;
  // What follows the window stays zero.
  const frame = new Float64Array(f.fftSize);
  const power = new Float64Array(endBin);
  const bands = new Float64Array(f.melBands);
  const coefficients = new Float64Array(width);

  const logBands = (wave: Float32Array, start: number): void => {
    for (let i = 0; i < window.length; i++) frame[i] = (wave[start + i] as number) * (window[i] as number);
    const [re, im] = fft(frame);
    for (let bin = firstBin; bin < endBin; bin++) power[bin] = (re[bin] as number) ** 2 + (im[bin] as number) ** 2;
    for (let band = 0; band < filters.length; band++) {
      const filter = filters[band] as Filter;
      let sum = 0;
      for (let i = 0; i < filter.weights.length; i++) sum += (power[filter.start + i] as number) * (filter.weights[i] as number);
      bands[band] = Math.log(sum + f.logOffset);
    }
  };

  // Row by row of the matrix: sums that do not wait for each other.
  const cepstrum = (matrix: Float64Array, into: Float32Array, start: number): void => {
    coefficients.fill(0);
    for (let band = 0; band < bands.length; band++) {
      const value = bands[band] as number;
      const row = band * width;
      for (let k = 0; k < width; k++) coefficients[k] = (coefficients[k] as number) + value * (matrix[row + k] as number);
    }
    into.set(coefficients, start);
  };

  return {
    extract(wave, into) {
      if (wave.length !== samples) {
        throw new SheafError("data", `An audio clip must have ${samples} samples, got ${wave.length}; pad or cut it first.`);
      }
      if (into.length !== frames * width) {
        throw new SheafError(
          "data",
          `Features of a clip take ${frames} x ${width} = ${frames * width} values, got room for ${into.length}.`,
        );
      }
      for (let t = 0; t < frames; t++) {
        logBands(wave, t * hop);
        if (dct) cepstrum(dct, into, t * width);
        else for (let band = 0; band < width; band++) into[t * width + band] = bands[band] as number;
      }
    },
  };
}
