/** How well a deployable model does on a data set: running it, and, apart from that, counting. */
import { fillBatchNchw } from "../data/augment.ts";
import { fillWaves } from "../data/clips.ts";
import { sampleSize } from "../data/dataset.ts";
import type { Samples } from "../data/samples.ts";
import type { Session } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import { tensor } from "../util/tensor.ts";

/** Counts of right and wrong answers. */
export interface Scores {
  /** Share of all samples classified rightly. */
  readonly accuracy: number;
  /** Mean of the shares of the classes that have samples; equal to the accuracy where all have equally many. */
  readonly balancedAccuracy: number;
  /** Share of each class's samples classified rightly; 0 for a class without samples. */
  readonly perClass: readonly number[];
  /** Samples by true class (row) and predicted class (column). */
  readonly confusion: readonly (readonly number[])[];
}

export interface Evaluation extends Scores {
  /** Class of the largest logit of each sample; the first of equals. */
  readonly predictions: Uint16Array;
}

export interface EvaluateOptions {
  /** Samples per run; 256 by default. The last batch is smaller. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
}

/** Counts predictions against the truth. Throws `internal` when their numbers differ or a class is not below `classCount`. */
export function scorePredictions(predictions: ArrayLike<number>, truth: ArrayLike<number>, classCount: number): Scores {
  if (predictions.length !== truth.length) {
    throw new SheafError("internal", `${predictions.length} predictions cannot be counted against ${truth.length} labels.`);
  }
  const confusion = Array.from({ length: classCount }, () => new Array<number>(classCount).fill(0));
  for (let i = 0; i < truth.length; i++) {
    const [row, column] = [truth[i] as number, predictions[i] as number];
    const counts = confusion[row];
    if (!counts || column >= classCount) {
      throw new SheafError("internal", `Sample ${i} has class ${row} and prediction ${column}, but there are ${classCount} classes.`);
    }
    counts[column] = (counts[column] ?? 0) + 1;
  }
  const right = confusion.map((counts, c) => counts[c] ?? 0);
  const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const counts = confusion.map(sum);
  const perClass = right.map((count, c) => share(count, counts[c] ?? 0));
  return {
    accuracy: share(sum(right), truth.length),
    balancedAccuracy: share(sum(perClass), counts.filter((count) => count > 0).length),
    perClass,
    confusion,
  };
}

function largestOfRow(logits: ArrayLike<number>, row: number, columns: number): number {
  let best = 0;
  for (let c = 1; c < columns; c++) {
    if ((logits[row * columns + c] as number) > (logits[row * columns + best] as number)) best = c;
  }
  return best;
}

/**
 * Evaluates a model with the input `image` [N, channels, height, width], raw values (of audio, features), or `audio` [N, samples], waves in [-1, 1],
 * and the output `logits` [N, classes].
 * Throws `corrupt` when the model is not such a one, `interrupted` after the signal.
 */
export async function evaluateModel(session: Session, samples: Samples, options: EvaluateOptions = {}): Promise<Evaluation> {
  const { batchSize = 256, signal } = options;
  const { dataset } = samples;
  const { shape, labels, classNames, audio } = dataset;
  const takesAudio = audio !== undefined && session.inputNames.includes("audio");
  if (!(takesAudio || session.inputNames.includes("image")) || !session.outputNames.includes("logits")) {
    throw new SheafError(
      "corrupt",
      `The model has inputs ${session.inputNames.join(", ")} and outputs ${session.outputNames.join(", ")}; evaluation on ${dataset.name} needs ${audio ? `"audio" or "image"` : `"image"`} and "logits".`,
    );
  }
  const predictions = new Uint16Array(labels.length);
  const size = takesAudio ? audio.clipSamples : sampleSize(shape);
  const buffer = new Float32Array(size * batchSize);
  for (let start = 0; start < labels.length; start += batchSize) {
    if (signal?.aborted) throw new SheafError("interrupted", `Evaluation stopped after ${start} of ${labels.length} samples.`);
    const count = Math.min(batchSize, labels.length - start);
    const values = buffer.subarray(0, count * size);
    const indices = Uint32Array.from({ length: count }, (_, i) => start + i);
    (takesAudio ? fillWaves : fillBatchNchw)(values, samples, indices);
    const { logits } = await session.run(
      takesAudio
        ? { audio: tensor("float32", [count, size], values) }
        : { image: tensor("float32", [count, shape.channels, shape.height, shape.width], values) },
    );
    if (logits?.shape.length !== 2 || logits.shape[1] !== classNames.length) {
      throw new SheafError(
        "corrupt",
        `The model's logits have shape [${logits?.shape.join(", ")}], but ${dataset.name} has ${classNames.length} classes.`,
      );
    }
    for (let i = 0; i < count; i++) predictions[start + i] = largestOfRow(logits.data as Float32Array, i, classNames.length);
  }
  return { predictions, ...scorePredictions(predictions, labels, classNames.length) };
}
