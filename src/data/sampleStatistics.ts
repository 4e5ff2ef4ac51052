/** Mean and standard deviation per channel of what a network is given, from any store, in one pass that holds a few samples at a time. */
import { SheafError } from "../util/errors.ts";
import { drawStratified, sampleSize, samplesByClass } from "./dataset.ts";
import type { Samples } from "./samples.ts";

/** Clips whose features go into the statistics of an audio set: a drawn part of a larger one tells the same. */
export const mostClips = 5000;

const batchCount = 64;

/** Count, mean and sum of squared differences from it; two such accounts add up (Chan, Golub and LeVeque 1979). */
interface Moments {
  count: number;
  mean: number;
  squares: number;
}

function add(moments: Moments, values: ArrayLike<number>, start: number, count: number): void {
  let sum = 0;
  for (let i = start; i < start + count; i++) sum += values[i]!;
  const mean = sum / count;
  let squares = 0;
  for (let i = start; i < start + count; i++) squares += (values[i]! - mean) ** 2;
  const total = moments.count + count;
  const difference = mean - moments.mean;
  moments.squares += squares + (difference * difference * moments.count * count) / total;
  moments.mean += (difference * count) / total;
  moments.count = total;
}

/**
 * Mean and standard deviation (of the population) of each channel over the samples: raw values of images and arrays, features of clips.
 * Of an audio set with more than `mostClips` clips, so many are drawn by `seed`, by class. A channel that never varies gets a standard deviation of 1.
 * Throws `interrupted` on abort.
 */
export async function sampleStatistics(
  samples: Samples,
  seed: number,
  signal?: AbortSignal,
): Promise<{ readonly mean: number[]; readonly std: number[] }> {
  const { dataset, extractor } = samples;
  const { shape, labels, classNames, audio } = dataset;
  const plane = shape.height * shape.width;
  const channels = Array.from({ length: shape.channels }, (): Moments => ({ count: 0, mean: 0, squares: 0 }));
  const chosen =
    audio && labels.length > mostClips
      ? drawStratified(samplesByClass(labels, classNames.length), mostClips, seed, "statistics")
      : Uint32Array.from(labels.keys());
  const wave = new Float32Array(audio?.clipSamples ?? 0);
  const features = new Float32Array(audio ? sampleSize(shape) : 0);
  for (let start = 0; start < chosen.length; start += batchCount) {
    // Lets progress be shown and the signal arrive.
    await new Promise((resolve) => setTimeout(resolve));
    if (signal?.aborted) throw new SheafError("interrupted", `Preparing ${dataset.name} was stopped.`);
    const { values, offsets } = samples.read(chosen.subarray(start, start + batchCount));
    for (const offset of offsets) {
      if (extractor) {
        for (let i = 0; i < wave.length; i++) wave[i] = values[offset + i]! / 32768;
        extractor.extract(wave, features);
      }
      channels.forEach((moments, channel) => {
        add(moments, extractor ? features : values, (extractor ? 0 : offset) + channel * plane, plane);
      });
    }
  }
  return {
    mean: channels.map(({ mean }) => mean),
    std: channels.map(({ squares, count }) => Math.sqrt(squares / Math.max(1, count)) || 1),
  };
}
