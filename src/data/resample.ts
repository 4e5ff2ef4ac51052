/** Changes the sample rate of waves with libsamplerate, compiled to WebAssembly: the same numbers in Node and in browsers. */
import { SheafError } from "../util/errors.ts";

/** Changes waves from one rate to another. */
export interface Resampler {
  /** The wave at the new rate, of round(length * to / from) samples, without delay. */
  resample(wave: Float32Array): Float32Array;
  /** Frees the converter; closing twice is fine. */
  close(): void;
}

/** Input samples converted at once; the library's buffers hold about twice as many. */
const blockSamples = 400_000;
/** Samples of the lower rate that a block sees on each side; more than the filter's reach at any ratio. */
const contextSamples = 300;

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * Opens a converter from one rate in Hz to another. What lies above the lower rate's half is removed (by more than 97 dB), what lies below
 * nine tenths of that half is kept. Equal rates copy, and load nothing. Throws `config` for rates outside 1,000 to 192,000 Hz.
 * @example const resampler = await openResampler(44100, 16000); const clip = resampler.resample(wave); resampler.close();
 */
export async function openResampler(fromHz: number, toHz: number): Promise<Resampler> {
  for (const rate of [fromHz, toHz]) {
    if (!Number.isInteger(rate) || rate < 1000 || rate > 192_000) {
      throw new SheafError("config", `A sample rate must be a whole number from 1000 to 192000 Hz, got ${rate}.`);
    }
  }
  if (fromHz === toHz) return { resample: (wave) => wave.slice(), close: () => {} };
  // Loaded when it is needed: 2 MB that sets at the right rate never ask for.
  const loaded = await import("@alexanderolsen/libsamplerate-js");
  // Node gives a CommonJS module as the default; bundlers give its names.
  const library = "create" in loaded ? loaded : (loaded as { default: typeof loaded }).default;
  const converter = await library.create(1, fromHz, toHz, { converterType: library.ConverterType.SRC_SINC_MEDIUM_QUALITY });
  // Places of input and output coincide every so many samples: blocks begin and end there.
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const [unitIn, unitOut] = [fromHz / divisor, toHz / divisor];
  const units = Math.max(1, Math.floor(blockSamples / Math.max(unitIn, unitOut)));
  const contextUnits = Math.ceil((contextSamples * fromHz) / Math.min(fromHz, toHz) / unitIn);
  let closed = false;
  return {
    resample(wave) {
      const result = new Float32Array(Math.round((wave.length * toHz) / fromHz));
      for (let unit = 0; unit * unitOut < result.length; unit += units) {
        const context = Math.min(unit, contextUnits);
        const from = (unit - context) * unitIn;
        const converted = converter.simple(wave.slice(from, (unit + units + contextUnits) * unitIn));
        const start = context * unitOut;
        const count = Math.min(units * unitOut, result.length - unit * unitOut);
        result.set(converted.subarray(start, start + count), unit * unitOut);
      }
      return result;
    },
    close() {
      if (!closed) converter.destroy();
      closed = true;
    },
  };
}
