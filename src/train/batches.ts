/** The batches of a job. Each depends on the job and the step alone, so that any step can be done again by itself. */
import { fillBatch } from "../data/augment.ts";
import { sampleSize } from "../data/dataset.ts";
import type { Samples } from "../data/samples.ts";
import { openShrink } from "../data/shrink.ts";
import { random, shuffle } from "../util/random.ts";
import { candidatesPerStep, stepsPerEpoch, type TrainingJob } from "./job.ts";

/** Buffers that `fill` overwrites. */
export interface Batches {
  /** [channels, height, width, batch], raw values. */
  readonly image: Float32Array;
  /** [logits, batch], one-hot. */
  readonly target: Float32Array;
  /** [classes, batch], the other branches' scores, in a job that has them. */
  readonly frozen: Float32Array | undefined;
  /** Label of each sample of the batch. */
  readonly labels: Uint16Array;
  /** Fills the buffers with the batch of step `step`, from 0. */
  fill(step: number): void;
}

/**
 * Opens the batches of a job (of a job with a `hardShare`, the candidates of each step) for a network of `logits` outputs, read from its data set opened as
 * `source`. A fresh shuffle for each epoch; what is left over after its full batches is not seen in it. Images are made smaller, after their augmentation, where
 * `size` is not that of the data set.
 */
export function openBatches(
  job: TrainingJob,
  source: Samples,
  logits: number,
  size: { readonly height: number; readonly width: number } = job.dataset.shape,
): Batches {
  const { id, seed, samples, dataset, settings } = job;
  const { augmentation } = settings;
  const batchSize = candidatesPerStep(job);
  const perEpoch = stepsPerEpoch(job);
  const { channels, height, width } = dataset.shape;
  const whole = new Float32Array(sampleSize(dataset.shape) * batchSize);
  const isSmaller = size.height !== height || size.width !== width;
  const shrink = isSmaller ? openShrink(dataset.shape, size, batchSize) : undefined;
  const image = shrink ? new Float32Array(channels * size.height * size.width * batchSize) : whole;
  const target = new Float32Array(logits * batchSize);
  const scores = job.frozen?.scores;
  const frozen = scores && new Float32Array(logits * batchSize);
  const labels = new Uint16Array(batchSize);
  const indices = new Uint32Array(batchSize);
  const order = new Uint32Array(samples.length);
  let shuffledEpoch = -1;
  const shuffleFor = (epoch: number): void => {
    if (epoch === shuffledEpoch) return;
    for (let i = 0; i < order.length; i++) order[i] = i;
    shuffle(order, random(seed, id, "order", epoch));
    shuffledEpoch = epoch;
  };
  return {
    image,
    target,
    frozen,
    labels,
    fill(step) {
      const epoch = Math.floor(step / perEpoch);
      const inEpoch = step % perEpoch;
      shuffleFor(epoch);
      target.fill(0);
      for (let n = 0; n < batchSize; n++) {
        // Fewer samples than a batch holds: they are repeated until it is full.
        const place = order[(inEpoch * batchSize + n) % order.length] as number;
        const label = job.labels[place] as number;
        indices[n] = samples[place] as number;
        labels[n] = label;
        target[label * batchSize + n] = 1;
        if (scores && frozen) for (let c = 0; c < logits; c++) frozen[c * batchSize + n] = scores[place * logits + c] as number;
      }
      fillBatch(whole, source, indices, augmentation, random(seed, id, "augment", epoch, inEpoch));
      shrink?.(image, whole);
    },
  };
}

/** How many columns of `logits` [classes, batch] are largest at their label; the first of equals counts as the largest. */
export function countCorrect(logits: ArrayLike<number>, labels: Uint16Array): number {
  const batchSize = labels.length;
  const classes = logits.length / batchSize;
  let correct = 0;
  for (let n = 0; n < batchSize; n++) {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if ((logits[c * batchSize + n] as number) > (logits[best * batchSize + n] as number)) best = c;
    }
    if (best === labels[n]) correct++;
  }
  return correct;
}
