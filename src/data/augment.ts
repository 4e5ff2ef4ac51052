/** Fills training and evaluation batches from a data set, with seeded augmentation on the way. Runs for every training step, so its loops are plain. */
import { SheafError } from "../util/errors.ts";
import type { Random } from "../util/random.ts";
import { type AudioAugmentation, checkAudioAugmentation, fillClips, fillClipsNchw } from "./clips.ts";
import type { Dataset, SampleShape, SampleValues } from "./dataset.ts";
import { sampleSize } from "./dataset.ts";
import type { Samples } from "./samples.ts";

/** What is done to a training image or array; 0 and false turn a part off. Clips have changes of their own. */
export interface Augmentation {
  /** Pad by this many zero pixels on each side, then crop the original size at a uniformly random place (He et al. 2016, section 4.2). */
  readonly crop: number;
  /** Mirror left and right with probability one half. */
  readonly flip: boolean;
  /** Side in pixels of a square set to zero, centred uniformly on the image and clipped by it (DeVries and Taylor 2017). */
  readonly cutout: number;
  /** What is done to a training clip of an audio set, which the other parts do not touch; nothing when absent. */
  readonly audio?: AudioAugmentation;
}

/** No change at all. */
export const noAugmentation: Augmentation = { crop: 0, flip: false, cutout: 0 };

/** Per-channel mean and standard deviation of raw values; a `Dataset` is one. */
export type Normalization = Pick<Dataset, "mean" | "std">;

/** Throws `config` unless crop and cutout are whole numbers of pixels, crop at most the image's smaller side; of an audio set, checks its part. */
export function checkAugmentation(
  { crop, cutout, audio: ofClips }: Augmentation,
  { shape, audio }: Pick<Dataset, "shape" | "audio">,
): void {
  if (audio) {
    if (ofClips) checkAudioAugmentation(ofClips, audio, shape);
    return;
  }
  const smaller = Math.min(shape.height, shape.width);
  if (!Number.isInteger(crop) || crop < 0 || crop > smaller) {
    throw new SheafError("config", `Augmentation crop must be a whole number of pixels from 0 to ${smaller}, got ${crop}.`);
  }
  if (!Number.isInteger(cutout) || cutout < 0) {
    throw new SheafError("config", `Augmentation cutout must be a whole number of pixels, 0 or more, got ${cutout}.`);
  }
}

/** The drawn changes of each sample of a batch. Source pixel of (y, x): row y + dy, column x + dx (or, mirrored, width - 1 - x + dx). */
interface Draws {
  readonly dy: Int32Array;
  readonly dx: Int32Array;
  readonly mirrored: Uint8Array;
  /** Centre of the cut-out square. */
  readonly cutY: Int32Array;
  readonly cutX: Int32Array;
}

/** Draws, for sample after sample: crop row, crop column, flip, cutout row, cutout column; a part that is off draws nothing. */
function draw(count: number, { crop, flip, cutout }: Augmentation, height: number, width: number, random: Random): Draws {
  const dy = new Int32Array(count);
  const dx = new Int32Array(count);
  const mirrored = new Uint8Array(count);
  const cutY = new Int32Array(count);
  const cutX = new Int32Array(count);
  for (let n = 0; n < count; n++) {
    if (crop > 0) {
      dy[n] = random.below(2 * crop + 1) - crop;
      dx[n] = random.below(2 * crop + 1) - crop;
    }
    if (flip) mirrored[n] = random.below(2);
    if (cutout > 0) {
      cutY[n] = random.below(height);
      cutX[n] = random.below(width);
    }
  }
  return { dy, dx, mirrored, cutY, cutX };
}

/** What becomes of the raw values of one channel: of bytes, a table; of floats, a line. */
interface ChannelValues {
  readonly table: Float32Array | undefined;
  readonly mean: number;
  readonly std: number;
  /** The value of a pixel that cropping or cutout made empty. */
  readonly empty: number;
}

function channelValues(values: SampleValues, channel: number, normalization: Normalization | undefined): ChannelValues {
  const mean = normalization?.mean[channel] ?? 0;
  const std = normalization?.std[channel] ?? 1;
  const table = values instanceof Uint8Array ? Float32Array.from({ length: 256 }, (_, value) => (value - mean) / std) : undefined;
  return { table, mean, std, empty: (0 - mean) / std };
}

function checkBatch(into: Float32Array, { dataset }: Samples, indices: ArrayLike<number>): void {
  const expected = indices.length * sampleSize(dataset.shape);
  if (into.length !== expected) {
    throw new SheafError("internal", `A batch of ${indices.length} samples needs ${expected} values, got an array of ${into.length}.`);
  }
}

/**
 * Writes the samples at `indices` into `into` in batch-innermost order [C, H, W, N], as raw values (0..255 for images), or normalised
 * ((value - mean) / std) when `normalization` is given. Pixels that cropping or cutout makes empty count as raw 0.
 * Of an audio set, the values are the features of the clips.
 * The result depends on the indices and the state of `random` alone; without augmentation `random` is not used.
 * Throws `data` for an index out of range and `internal` when `into` has not the batch's size.
 * @example fillBatch(images, openSamples(train), order.subarray(0, 64), { crop: 4, flip: true, cutout: 0 }, random(seed, "augment", epoch), train);
 */
export function fillBatch(
  into: Float32Array,
  samples: Samples,
  indices: ArrayLike<number>,
  augmentation: Augmentation | undefined,
  random: Random,
  normalization?: Normalization,
): void {
  checkBatch(into, samples, indices);
  if (samples.dataset.audio) fillClips(into, samples, indices, augmentation?.audio, random, normalization);
  else fillImages(into, samples, indices, augmentation ?? noAugmentation, random, normalization);
}

function fillImages(
  into: Float32Array,
  samples: Samples,
  indices: ArrayLike<number>,
  augmentation: Augmentation,
  random: Random,
  normalization: Normalization | undefined,
): void {
  const { channels, height, width } = samples.dataset.shape;
  const { values, offsets } = samples.read(indices);
  const count = indices.length;
  const { dy, dx, mirrored, cutY, cutX } = draw(count, augmentation, height, width, random);
  // Row by row: the N innermost values of one row's pixels stay in the first-level cache while all samples write theirs.
  for (let channel = 0; channel < channels; channel++) {
    const { table, mean, std, empty } = channelValues(values, channel, normalization);
    for (let y = 0; y < height; y++) {
      const row = (channel * height + y) * width * count;
      for (let n = 0; n < count; n++) {
        const sourceY = y + dy[n]!;
        let to = row + n;
        if (sourceY < 0 || sourceY >= height) {
          for (let x = 0; x < width; x++, to += count) into[to] = empty;
          continue;
        }
        const start = offsets[n]! + (channel * height + sourceY) * width;
        const shift = dx[n]!;
        const step = mirrored[n] ? -1 : 1;
        // Columns whose source lies on the image: first up to, not including, end.
        const first = Math.max(0, step > 0 ? -shift : shift);
        const end = Math.min(width, step > 0 ? width - shift : width + shift);
        let from = start + shift + (step > 0 ? first : width - 1 - first);
        let x = 0;
        for (; x < first; x++, to += count) into[to] = empty;
        if (table) for (; x < end; x++, to += count, from += step) into[to] = table[values[from]!]!;
        else for (; x < end; x++, to += count, from += step) into[to] = (values[from]! - mean) / std;
        for (; x < width; x++, to += count) into[to] = empty;
      }
    }
    if (augmentation.cutout > 0) {
      const plane = into.subarray(channel * height * width * count, (channel + 1) * height * width * count);
      cut(plane, height, width, augmentation.cutout, cutY, cutX, empty);
    }
  }
}

/** Empties each sample's square in one channel's plane [H, W, N]. An even side reaches one pixel less to the right and down. */
function cut(plane: Float32Array, height: number, width: number, side: number, cutY: Int32Array, cutX: Int32Array, empty: number): void {
  const count = cutY.length;
  const before = Math.floor(side / 2);
  for (let n = 0; n < count; n++) {
    const top = cutY[n]! - before;
    const left = cutX[n]! - before;
    for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
      for (let x = Math.max(0, left); x < Math.min(width, left + side); x++) plane[(y * width + x) * count + n] = empty;
    }
  }
}

/**
 * Writes the samples at `indices`, unchanged, into `into` in batch-outermost order [N, C, H, W], for evaluation of deployable models.
 * Values and errors as for `fillBatch`.
 */
export function fillBatchNchw(into: Float32Array, samples: Samples, indices: ArrayLike<number>, normalization?: Normalization): void {
  checkBatch(into, samples, indices);
  if (samples.dataset.audio) {
    fillClipsNchw(into, samples, indices, normalization);
    return;
  }
  const { channels, height, width }: SampleShape = samples.dataset.shape;
  const { values, offsets } = samples.read(indices);
  const area = height * width;
  for (let channel = 0; channel < channels; channel++) {
    const { table, mean, std } = channelValues(values, channel, normalization);
    for (let n = 0; n < indices.length; n++) {
      const from = offsets[n]! + channel * area;
      const to = (n * channels + channel) * area;
      if (table) for (let i = 0; i < area; i++) into[to + i] = table[values[from + i]!]!;
      else for (let i = 0; i < area; i++) into[to + i] = (values[from + i]! - mean) / std;
    }
  }
}
