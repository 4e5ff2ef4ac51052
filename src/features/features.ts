/** Audio features as plain data: their parameters, what makes sense together, and the shapes that follow. How they are computed is in `extract.ts` and `graph.ts`. */
import { SheafError } from "../util/errors.ts";
import { usedBands } from "./matrices.ts";

/** What a clip is turned into before a network sees it. docs/data.md has the formulas. */
export interface AudioFeatures {
  /** Logarithm of the power in mel bands, or their cepstral coefficients. */
  readonly type: "logMel" | "mfcc";
  /** Samples per second of the clips. */
  readonly sampleRate: number;
  /** Length of one window; rounded to whole samples. */
  readonly windowMs: number;
  /** From the start of one window to the start of the next; rounded to whole samples. */
  readonly hopMs: number;
  /** Points of the Fourier transform: a power of two, at least a window; the window is followed by zeros up to it. */
  readonly fftSize: number;
  /** Triangular filters, evenly spaced on the mel scale. */
  readonly melBands: number;
  /** Lower edge of the first filter. */
  readonly minHz: number;
  /** Upper edge of the last filter, at most half the sample rate. */
  readonly maxHz: number;
  /** Cepstral coefficients that are kept, from the first on. Ignored by `logMel`. */
  readonly coefficients: number;
  /** Added to a band's power before the logarithm. */
  readonly logOffset: number;
}

/** The front end of a model that takes raw audio: clips of `samples` samples become features inside it. */
export interface AudioInput {
  readonly features: AudioFeatures;
  /** Samples of one clip at `features.sampleRate`. */
  readonly samples: number;
}

/** The usual front end of keyword spotting: 40 ms windows every 20 ms, 40 mel bands; 49 frames of a second at 16 kHz. */
export const defaultAudioFeatures: AudioFeatures = {
  type: "logMel",
  sampleRate: 16_000,
  windowMs: 40,
  hopMs: 20,
  fftSize: 1024,
  melBands: 40,
  minHz: 20,
  maxHz: 8000,
  coefficients: 40,
  logOffset: 1e-6,
};

/** Samples of one window. */
export const windowSamples = (f: AudioFeatures): number => Math.round((f.windowMs * f.sampleRate) / 1000);
/** Samples from the start of one window to the start of the next. */
export const hopSamples = (f: AudioFeatures): number => Math.round((f.hopMs * f.sampleRate) / 1000);

const maxFftSize = 65_536;
const isPowerOfTwo = (n: number): boolean => Number.isInteger(n) && n > 0 && (n & (n - 1)) === 0;

function fail(name: keyof AudioFeatures, expected: string, got: unknown): never {
  throw new SheafError("config", `Audio features: ${name} must be ${expected}, got ${String(got)}.`);
}

/** Refuses settings that are out of range or do not go together. Throws `config`. */
export function checkAudioFeatures(f: AudioFeatures): void {
  if (f.type !== "logMel" && f.type !== "mfcc") fail("type", '"logMel" or "mfcc"', f.type);
  if (!Number.isInteger(f.sampleRate) || f.sampleRate < 1000 || f.sampleRate > 384_000) {
    fail("sampleRate", "a whole number from 1000 to 384000", f.sampleRate);
  }
  if (!(windowSamples(f) >= 4)) fail("windowMs", `at least 4 samples long (${4000 / f.sampleRate} ms)`, f.windowMs);
  if (!(hopSamples(f) >= 1)) fail("hopMs", `at least one sample long (${1000 / f.sampleRate} ms)`, f.hopMs);
  if (!isPowerOfTwo(f.fftSize) || f.fftSize > maxFftSize) fail("fftSize", `a power of two up to ${maxFftSize}`, f.fftSize);
  if (f.fftSize < windowSamples(f)) fail("fftSize", `at least the ${windowSamples(f)} samples of a window`, f.fftSize);
  if (!(f.minHz >= 0)) fail("minHz", "0 or more", f.minHz);
  if (!(f.maxHz > f.minHz && f.maxHz <= f.sampleRate / 2)) {
    fail("maxHz", `above minHz (${f.minHz}) and at most half the sample rate (${f.sampleRate / 2})`, f.maxHz);
  }
  if (!Number.isInteger(f.melBands) || f.melBands < 1 || f.melBands > f.fftSize / 2) {
    fail("melBands", `a whole number from 1 to ${f.fftSize / 2}`, f.melBands);
  }
  if (f.type === "mfcc" && !(Number.isInteger(f.coefficients) && f.coefficients >= 1 && f.coefficients <= f.melBands)) {
    fail("coefficients", `a whole number from 1 to melBands (${f.melBands})`, f.coefficients);
  }
  if (!(f.logOffset > 0 && Number.isFinite(f.logOffset))) fail("logOffset", "above 0", f.logOffset);
  // A filter between two frequencies of the transform would be constant whatever the sound.
  const empty = usedBands(f).indexOf(false);
  if (empty >= 0) {
    fail("melBands", `so few that each covers a frequency of the ${f.fftSize}-point transform (band ${empty} does not)`, f.melBands);
  }
}

/**
 * Windows of a clip: those that lie in it whole, without centring; 1 + floor((samples - window) / hop).
 * Throws `config` for a clip shorter than a window.
 * @example frameCount(defaultAudioFeatures, 16000) // 49
 */
export function frameCount(f: AudioFeatures, samples: number): number {
  const window = windowSamples(f);
  if (!Number.isInteger(samples) || samples < window) {
    throw new SheafError("config", `A clip must have at least the ${window} samples of one window (${f.windowMs} ms), got ${samples}.`);
  }
  return 1 + Math.floor((samples - window) / hopSamples(f));
}

/** Values of one frame. */
export const featureWidth = (f: AudioFeatures): number => (f.type === "mfcc" ? f.coefficients : f.melBands);

/** Shape of a clip's features as a network's input: [1, frames, bands or coefficients]. Throws `config` for a clip shorter than a window. */
export function featureShape(f: AudioFeatures, samples: number): { readonly channels: 1; readonly height: number; readonly width: number } {
  return { channels: 1, height: frameCount(f, samples), width: featureWidth(f) };
}
