/** Fills batches with the features of audio clips; on the way, seeded augmentation of the wave (shift, noise) and of the features (masks). */
import { SheafError } from "../util/errors.ts";
import type { Random } from "../util/random.ts";
import type { Normalization } from "./augment.ts";
import type { AudioSource, SampleShape } from "./dataset.ts";
import type { Samples } from "./samples.ts";

/** What is done to a training clip; 0 turns a part off. */
export interface AudioAugmentation {
  /** Moves the clip by up to this much either way, uniformly; what moves in is silence. */
  readonly timeShiftMs: number;
  /** Probability of mixing background noise in, from a random place of the set's noise (Warden 2018, section 7.1). */
  readonly noiseProbability: number;
  /** The noise is scaled by a factor drawn uniformly from 0 to this. */
  readonly noiseVolume: number;
  /** Widest mask over frames and over bands; each mask's width is drawn uniformly from 0 to it (SpecAugment, Park et al. 2019). */
  readonly timeMaskFrames: number;
  readonly frequencyMaskBands: number;
  /** Masks of each kind. */
  readonly masks: number;
}

/** Full scale of a 16-bit sample. */
const fullScale = 32768;

/** Throws `config` unless each value is in its range. */
export function checkAudioAugmentation(augmentation: AudioAugmentation, { features, clipSamples }: AudioSource, shape: SampleShape): void {
  const clipMs = (1000 * clipSamples) / features.sampleRate;
  const ranges: readonly (readonly [keyof AudioAugmentation, number, boolean])[] = [
    ["timeShiftMs", clipMs, false],
    ["noiseProbability", 1, false],
    ["noiseVolume", 10, false],
    ["timeMaskFrames", shape.height, true],
    ["frequencyMaskBands", shape.width, true],
    ["masks", 100, true],
  ];
  for (const [name, most, whole] of ranges) {
    const value = augmentation[name];
    if (!(value >= 0 && value <= most) || (whole && !Number.isInteger(value))) {
      throw new SheafError(
        "config",
        `Augmentation audio.${name} must be a ${whole ? "whole " : ""}number from 0 to ${most}, got ${value}.`,
      );
    }
  }
}

/** Writes one stored clip as a wave in [-1, 1], moved later by `shift` samples. */
function toWave(wave: Float32Array, values: ArrayLike<number>, offset: number, shift: number): void {
  const count = wave.length;
  wave.fill(0);
  const first = Math.max(0, shift);
  const end = Math.min(count, count + shift);
  for (let i = first; i < end; i++) wave[i] = values[offset + i - shift]! / fullScale;
}

function addNoise(wave: Float32Array, noise: Int16Array, start: number, volume: number): void {
  const scale = volume / fullScale;
  for (let i = 0; i < wave.length; i++) wave[i] = Math.max(-1, Math.min(1, wave[i]! + scale * noise[start + i]!));
}

/** Sets drawn bands of frames or of frequencies to `value`. */
function mask(
  frame: Float32Array,
  { height, width }: SampleShape,
  { masks, timeMaskFrames, frequencyMaskBands }: AudioAugmentation,
  random: Random,
  value: number,
): void {
  for (let i = 0; i < masks && timeMaskFrames > 0; i++) {
    const extent = random.below(timeMaskFrames + 1);
    const start = random.below(height - extent + 1);
    frame.fill(value, start * width, (start + extent) * width);
  }
  for (let i = 0; i < masks && frequencyMaskBands > 0; i++) {
    const extent = random.below(frequencyMaskBands + 1);
    const start = random.below(width - extent + 1);
    for (let y = 0; y < height; y++) frame.fill(value, y * width + start, y * width + start + extent);
  }
}

/** Draws, for one clip: shift, whether noise is mixed in, then its place and volume; a part that is off draws nothing. */
function augmentedWave(
  wave: Float32Array,
  values: ArrayLike<number>,
  offset: number,
  audio: AudioSource,
  augmentation: AudioAugmentation,
  random: Random,
): void {
  const { timeShiftMs, noiseProbability, noiseVolume } = augmentation;
  const most = Math.round((timeShiftMs * audio.features.sampleRate) / 1000);
  toWave(wave, values, offset, most > 0 ? random.below(2 * most + 1) - most : 0);
  if (noiseProbability > 0 && noiseVolume > 0 && random.uniform() < noiseProbability) {
    const start = random.below(audio.noise.length - wave.length + 1);
    addNoise(wave, audio.noise, start, noiseVolume * random.uniform());
  }
}

/** What reading an audio set needs. */
function opened(samples: Samples): { audio: AudioSource; extract: (wave: Float32Array, into: Float32Array) => void } {
  const { dataset, extractor } = samples;
  if (!dataset.audio || !extractor) throw new SheafError("internal", `${dataset.name} was opened without its audio features.`);
  return { audio: dataset.audio, extract: (wave, into) => extractor.extract(wave, into) };
}

/** `fillBatch` of audio sets: features in [1, frames, bands, N]. Masked places hold the set's mean. */
export function fillClips(
  into: Float32Array,
  samples: Samples,
  indices: ArrayLike<number>,
  augmentation: AudioAugmentation | undefined,
  random: Random,
  normalization: Normalization | undefined,
): void {
  const { audio, extract } = opened(samples);
  const { shape, mean: means } = samples.dataset;
  const { values, offsets } = samples.read(indices);
  const count = indices.length;
  const size = shape.height * shape.width;
  const wave = new Float32Array(audio.clipSamples);
  const frame = new Float32Array(size);
  const mean = normalization?.mean[0] ?? 0;
  const std = normalization?.std[0] ?? 1;
  for (let n = 0; n < count; n++) {
    if (augmentation) augmentedWave(wave, values, offsets[n]!, audio, augmentation, random);
    else toWave(wave, values, offsets[n]!, 0);
    extract(wave, frame);
    if (augmentation) mask(frame, shape, augmentation, random, means[0] ?? 0);
    for (let i = 0; i < size; i++) into[i * count + n] = (frame[i]! - mean) / std;
  }
}

/** `fillBatchNchw` of audio sets: features in [N, 1, frames, bands]. */
export function fillClipsNchw(
  into: Float32Array,
  samples: Samples,
  indices: ArrayLike<number>,
  normalization: Normalization | undefined,
): void {
  const { audio, extract } = opened(samples);
  const { shape } = samples.dataset;
  const { values, offsets } = samples.read(indices);
  const size = shape.height * shape.width;
  const wave = new Float32Array(audio.clipSamples);
  const mean = normalization?.mean[0] ?? 0;
  const std = normalization?.std[0] ?? 1;
  for (let n = 0; n < indices.length; n++) {
    const frame = into.subarray(n * size, (n + 1) * size);
    toWave(wave, values, offsets[n]!, 0);
    extract(wave, frame);
    for (let i = 0; i < size; i++) frame[i] = (frame[i]! - mean) / std;
  }
}

/** Clips as waves [N, clipSamples] in [-1, 1], for models that take audio. */
export function fillWaves(into: Float32Array, samples: Samples, indices: ArrayLike<number>): void {
  const { audio } = opened(samples);
  const { values, offsets } = samples.read(indices);
  for (let n = 0; n < indices.length; n++)
    toWave(into.subarray(n * audio.clipSamples, (n + 1) * audio.clipSamples), values, offsets[n]!, 0);
}
