/**
 * Audio features by a fast Fourier transform, for training and evaluation. The same code in Node and in browsers, all in float64 until the result is
 * stored: engines may differ in the last bit of a sine or a logarithm, which leaves no more than the rounding of a float32.
 */
import { SheafError } from "../util/errors.ts";
import { type AudioFeatures, checkAudioFeatures, featureWidth, frameCount, hopSamples, windowSamples } from "./features.ts";
import { dctMatrix, hannWindow, melFilterbank } from "./matrices.ts";
import { openPairSpectrum } from "./pairSpectrum.ts";

/** Turns clips of one length into features. */
export interface Extractor {
  /**
   * `wave` has the clip's samples in [-1, 1]; `into` gets [frames, bands or coefficients], row by row, and may be a part of a larger buffer.
   * Throws `data` when one of them has another length.
   */
  extract(wave: Float32Array, into: Float32Array): void;
}

/** Of the two windows that are transformed together. */
type Pair = readonly [Float64Array, Float64Array];

/** The columns of a matrix without the zeros around them: the values of column c are those from `begins[c]` to `begins[c + 1]`, in rows from `starts[c]` on. */
interface Columns {
  readonly starts: Uint32Array;
  readonly begins: Uint32Array;
  readonly values: Float64Array;
}

function columnsOf(matrix: Float64Array, count: number): Columns {
  const starts = new Uint32Array(count);
  const begins = new Uint32Array(count + 1);
  const values: number[] = [];
  for (let c = 0; c < count; c++) {
    const column = Float64Array.from({ length: matrix.length / count }, (_, row) => matrix[row * count + c] as number);
    const start = column.findIndex((value) => value !== 0);
    starts[c] = start;
    values.push(...column.subarray(start, column.findLastIndex((value) => value !== 0) + 1));
    begins[c + 1] = values.length;
  }
  return { starts, begins, values: Float64Array.from(values) };
}

/** Two vectors times a matrix, at once: the two sums do not wait for each other. */
function multiply({ starts, begins, values }: Columns, [a, b]: Pair, [intoA, intoB]: Pair): void {
  for (let c = 0; c < starts.length; c++) {
    const end = begins[c + 1] as number;
    let row = starts[c] as number;
    let sumA = 0;
    let sumB = 0;
    for (let i = begins[c] as number; i < end; i++, row++) {
      const value = values[i] as number;
      sumA += value * (a[row] as number);
      sumB += value * (b[row] as number);
    }
    intoA[c] = sumA;
    intoB[c] = sumB;
  }
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
  const { powers, transform } = openPairSpectrum(hannWindow(windowSamples(f)), f.fftSize);
  const filters = columnsOf(melFilterbank(f), f.melBands);
  const cosines = f.type === "mfcc" ? columnsOf(dctMatrix(f.melBands, width), width) : undefined;
  const bands: Pair = [new Float64Array(f.melBands), new Float64Array(f.melBands)];
  const results: Pair = cosines ? [new Float64Array(width), new Float64Array(width)] : bands;

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
      for (let t = 0; t < frames; t += 2) {
        // The last of an odd number is its own partner.
        const next = Math.min(t + 1, frames - 1);
        transform(wave, t * hop, next * hop);
        multiply(filters, powers, bands);
        for (const values of bands) for (let i = 0; i < values.length; i++) values[i] = Math.log((values[i] as number) + f.logOffset);
        if (cosines) multiply(cosines, bands, results);
        into.set(results[0], t * width);
        into.set(results[1], next * width);
      }
    },
  };
}
