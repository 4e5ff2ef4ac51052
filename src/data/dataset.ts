/** Labelled samples (images, arrays, audio clips) and what is done with whole sets of them: statistics, subsets, stratified splits. Reads no files. */
import type { AudioFeatures } from "../features/features.ts";
import { SheafError } from "../util/errors.ts";
import { random, shuffle } from "../util/random.ts";

/** Extents of what a network is given of one sample. */
export interface SampleShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A second, coarser labelling of the same samples (CIFAR-100's 20 superclasses). */
export interface CoarseLabels {
  readonly classNames: readonly string[];
  readonly labels: Uint16Array;
}

/** Where a set came from, for reports. */
export interface Provenance {
  /** Files or generator, and a note when only a part was used. */
  readonly source: string;
  /** SHA-256 (hexadecimal) of the content before any subset was taken: labels as little-endian uint16, then pixels. */
  readonly sha256: string;
}

export type SampleValues = Uint8Array | Int16Array | Float32Array;

/** How a record's values are stored: images as bytes, audio as 16-bit samples, arrays as bytes or floats. */
export type SampleDType = "uint8" | "int16" | "float32";

/** Records of one size, one per sample, as plain data that crosses to worker threads. */
export type SampleStore =
  /** May lie over a SharedArrayBuffer, so that worker threads share it. */
  | { readonly type: "memory"; readonly values: SampleValues }
  /** Little-endian records one after another in a file of `bytes` bytes. */
  | { readonly type: "file"; readonly path: string; readonly dtype: SampleDType; readonly bytes: number };

/** What makes features of the stored clips of an audio set. */
export interface AudioSource {
  readonly features: AudioFeatures;
  /** 16-bit samples of each stored clip, at the features' sample rate. */
  readonly clipSamples: number;
  /** Background noise to mix into training clips, one stretch at least a clip long; may lie over a SharedArrayBuffer. */
  readonly noise: Int16Array;
}

/** A set of labelled samples. Subsets and splits are views: they share the store and say which of its records are theirs. */
export interface Dataset {
  /** Name in the table of data sets, for instance "cifar10", or of the user's own. */
  readonly name: string;
  readonly classNames: readonly string[];
  /** What goes into a network: of audio [1, frames, bands]. */
  readonly shape: SampleShape;
  /** Class of each sample; its length is the number of samples. */
  readonly labels: Uint16Array;
  readonly store: SampleStore;
  /** Record of each sample in the store; 0, 1, 2, ... when absent. */
  readonly records?: Uint32Array;
  /** Present where some samples are changed copies: what each undergoes when it is read (`made.ts`), and the seed of how. */
  readonly changed?: { readonly kinds: Uint16Array; readonly seed: number };
  /** Present for sets of audio clips. */
  readonly audio?: AudioSource;
  /** Per channel, mean over the training split: of raw values (0..255 for bytes), of features for audio. */
  readonly mean: readonly number[];
  /** Per channel, standard deviation of the same. */
  readonly std: readonly number[];
  readonly provenance: Provenance;
  /** Present for sets with two labellings. */
  readonly coarse?: CoarseLabels;
  /** A class that no device needs to own ("unknown"): what every device calls "other". */
  readonly otherClass?: number;
}

/** A set with its parts; all carry the mean and standard deviation of the training part. */
export interface DatasetSplits {
  readonly train: Dataset;
  readonly test: Dataset;
  /** Present where the set has an official one. */
  readonly validation?: Dataset;
}

/** Values that a network is given of one sample. */
export function sampleSize(shape: SampleShape): number {
  return shape.channels * shape.height * shape.width;
}

/** Values of one stored record: an image or array as the network is given it, a clip before its features are made. */
export function recordLength({ shape, audio }: Pick<Dataset, "shape" | "audio">): number {
  return audio ? audio.clipSamples : sampleSize(shape);
}

/** A zeroed byte array over shared memory. */
export function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/** A zeroed label array over shared memory. */
export function sharedLabels(length: number): Uint16Array {
  return new Uint16Array(new SharedArrayBuffer(length * Uint16Array.BYTES_PER_ELEMENT));
}

/**
 * Mean and standard deviation (of the population) of each channel over all samples, in raw pixel units.
 * Sums of bytes are exact. A channel that never varies gets a standard deviation of 1, so that dividing by it is safe.
 */
export function channelStatistics(pixels: ArrayLike<number>, shape: SampleShape): { readonly mean: number[]; readonly std: number[] } {
  const planeSize = shape.height * shape.width;
  const size = sampleSize(shape);
  const count = (pixels.length / size) * planeSize;
  const mean: number[] = [];
  const std: number[] = [];
  for (let channel = 0; channel < shape.channels; channel++) {
    let sum = 0;
    let squares = 0;
    for (let start = channel * planeSize; start < pixels.length; start += size) {
      for (let i = start; i < start + planeSize; i++) {
        const value = pixels[i] ?? 0;
        sum += value;
        squares += value * value;
      }
    }
    const average = count > 0 ? sum / count : 0;
    const deviation = count > 0 ? Math.sqrt(Math.max(0, squares / count - average * average)) : 0;
    mean.push(average);
    std.push(deviation > 0 ? deviation : 1);
  }
  return { mean, std };
}

/** Indices of the samples of each class, ascending. Throws `data` when a label is not below `classCount`. */
export function samplesByClass(labels: Uint16Array, classCount: number): number[][] {
  const groups: number[][] = Array.from({ length: classCount }, () => []);
  labels.forEach((label, index) => {
    const group = groups[label];
    if (group === undefined) {
      throw new SheafError("data", `Sample ${index} has label ${label}, but there are ${classCount} classes (0 to ${classCount - 1}).`);
    }
    group.push(index);
  });
  return groups;
}

/**
 * A view of the samples at `indices`, in that order (repeats allowed), over the same store.
 * Mean and standard deviation stay those of the given set. Throws `data` for an index out of range.
 */
export function takeSamples(dataset: Dataset, indices: ArrayLike<number>, note?: string): Dataset {
  const labels = sharedLabels(indices.length);
  const records = new Uint32Array(new SharedArrayBuffer(indices.length * Uint32Array.BYTES_PER_ELEMENT));
  const coarse = dataset.coarse && { classNames: dataset.coarse.classNames, labels: sharedLabels(indices.length) };
  const changed = dataset.changed && { seed: dataset.changed.seed, kinds: sharedLabels(indices.length) };
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i] ?? -1;
    const label = dataset.labels[index];
    if (label === undefined) {
      throw new SheafError("data", `${dataset.name} has samples 0 to ${dataset.labels.length - 1}, but sample ${index} was asked for.`);
    }
    labels[i] = label;
    records[i] = dataset.records?.[index] ?? index;
    if (coarse) coarse.labels[i] = dataset.coarse?.labels[index] ?? 0;
    if (changed) changed.kinds[i] = dataset.changed?.kinds[index] ?? 0;
  }
  const source = `${dataset.provenance.source}; ${note ?? "subset"}: ${indices.length} of ${dataset.labels.length} samples`;
  const { coarse: _, ...rest } = dataset;
  return {
    ...rest,
    labels,
    records,
    provenance: { ...dataset.provenance, source },
    ...(coarse && { coarse }),
    ...(changed && { changed }),
  };
}

/**
 * Parts of `total` proportional to `weights`, as whole numbers that sum to `total` and differ from the exact shares by less than one
 * (largest remainder; ties go to the earlier part). No part exceeds its weight while `total` does not exceed their sum.
 */
export function apportion(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  if (sum === 0) return weights.map(() => 0);
  const exact = weights.map((weight) => (total * weight) / sum);
  const parts = exact.map(Math.floor);
  const byRemainder = exact
    .map((share, part) => ({ part, remainder: share - Math.floor(share) }))
    .sort((a, b) => b.remainder - a.remainder || a.part - b.part);
  const missing = total - parts.reduce((a, b) => a + b, 0);
  for (const { part } of byRemainder.slice(0, missing)) parts[part] = (parts[part] ?? 0) + 1;
  return parts;
}

/**
 * `count` of the given groups' members, drawn at random from each group in proportion to its size; ascending.
 * With `count` equal to the number of members, all of them.
 */
export function drawStratified(
  groups: readonly (readonly number[])[],
  count: number,
  seed: number,
  ...labels: (string | number)[]
): Uint32Array {
  const counts = apportion(
    count,
    groups.map((group) => group.length),
  );
  const drawn = groups.flatMap((group, i) => shuffle([...group], random(seed, ...labels, i)).slice(0, counts[i]));
  return Uint32Array.from(drawn).sort();
}

/**
 * A seeded subset of `count` samples with the class proportions of the whole, in the original order.
 * Throws `config` when there are fewer.
 */
export function subset(dataset: Dataset, count: number, seed: number): Dataset {
  const available = dataset.labels.length;
  if (!Number.isInteger(count) || count < 1 || count > available) {
    throw new SheafError("config", `A subset of ${dataset.name} must have 1 to ${available} samples (all there are), got ${count}.`);
  }
  if (count === available) return dataset;
  const groups = samplesByClass(dataset.labels, dataset.classNames.length);
  return takeSamples(dataset, drawStratified(groups, count, seed, "subset"), `stratified subset, seed ${seed}`);
}

/**
 * Splits a validation part of `fraction` of the samples off, with the class proportions of the whole; the two parts are disjoint and complete.
 * Throws `config` unless 0 < fraction < 1 and both parts get a sample.
 */
export function splitOff(dataset: Dataset, fraction: number, seed: number): { readonly train: Dataset; readonly validation: Dataset } {
  const count = Math.round(dataset.labels.length * fraction);
  if (!(fraction > 0 && fraction < 1) || count < 1 || count >= dataset.labels.length) {
    throw new SheafError(
      "config",
      `The validation fraction must lie between 0 and 1 and leave samples in both parts; ${fraction} of ${dataset.labels.length} samples does not.`,
    );
  }
  const groups = samplesByClass(dataset.labels, dataset.classNames.length);
  const held = drawStratified(groups, count, seed, "validation");
  const isHeld = new Uint8Array(dataset.labels.length);
  for (const index of held) isHeld[index] = 1;
  const rest = Uint32Array.from(dataset.labels.keys()).filter((index) => isHeld[index] === 0);
  return {
    train: takeSamples(dataset, rest, "training part of a validation split"),
    validation: takeSamples(dataset, held, "validation part"),
  };
}
