/** Which filters of a trained target fire for which classes: one forward pass over samples, summed by class in float64. */
import { activationOutput } from "../compile/activations.ts";
import { fillBatchNchw } from "../data/augment.ts";
import { sampleSize } from "../data/dataset.ts";
import type { Samples } from "../data/samples.ts";
import { widthGroups } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import type { Session } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import { type Tensor, tensor, zeros } from "../util/tensor.ts";

/** Mean activation of every filter of free width for each class. */
export interface ClassActivation {
  /** By layer: float64 [classes, filters]; a row of zeros for a class without samples. */
  readonly layers: Readonly<Record<string, Tensor<"float64">>>;
  /** Samples of each class that were looked at. */
  readonly counts: readonly number[];
  /** Samples in all. */
  readonly samples: number;
}

export interface ActivationOptions {
  /** Samples per run; 128 by default. The last batch is smaller. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
  /** Called after each batch. */
  readonly onProgress?: (samplesDone: number, samples: number) => void;
}

/**
 * Runs the pass over `indices` of `samples`, in their order, unaugmented. `session` is open on the graph of `compileActivations(target, ...)`.
 * A few hundred samples of each class are plenty: only means are taken from them.
 * Throws `data` for a label that is not one of the data set's classes or no samples at all, `diverged` when the target gives a value that is
 * not finite, `interrupted` when `signal` is aborted.
 */
export async function measureActivation(
  session: Session,
  target: Network,
  samples: Samples,
  indices: ArrayLike<number>,
  options: ActivationOptions = {},
): Promise<ClassActivation> {
  const { batchSize = 128, signal, onProgress } = options;
  const { labels, shape, classNames, name } = samples.dataset;
  const classes = classNames.length;
  if (indices.length === 0) throw new SheafError("data", `Class activation needs samples of ${name}, got none; give some of every class.`);
  const names = [...widthGroups(target).values()].flat();
  const sums = new Map<string, Tensor<"float64">>();
  const counts = Array<number>(classes).fill(0);
  const buffer = new Float32Array(batchSize * sampleSize(shape));
  for (let start = 0; start < indices.length; start += batchSize) {
    if (signal?.aborted)
      throw new SheafError("interrupted", `The activation pass was stopped after ${start} of ${indices.length} samples; run it again.`);
    const batch = Array.from({ length: Math.min(batchSize, indices.length - start) }, (_, row) => indices[start + row] as number);
    const values = buffer.subarray(0, batch.length * sampleSize(shape));
    fillBatchNchw(values, samples, batch);
    const rows = batch.map((index) => labels[index] ?? -1);
    for (const [row, label] of rows.entries()) {
      if (label >= 0 && label < classes) counts[label]!++;
      else throw new SheafError("data", `Sample ${batch[row]} of ${name} has label ${label}, but the classes are 0 to ${classes - 1}.`);
    }
    const image = tensor("float32", [batch.length, shape.channels, shape.height, shape.width], values);
    const outputs = await session.run({ image });
    for (const layer of names) addRows(sums, layer, classes, rows, outputs[activationOutput(layer)]);
    onProgress?.(start + batch.length, indices.length);
  }
  return {
    layers: Object.fromEntries([...sums].map(([layer, sum]) => [layer, meansOf(layer, sum, counts)])),
    counts,
    samples: indices.length,
  };
}

function addRows(
  sums: Map<string, Tensor<"float64">>,
  layer: string,
  classes: number,
  labels: readonly number[],
  output: Tensor | undefined,
): void {
  if (!output) {
    throw new SheafError(
      "corrupt",
      `The model has no output "${activationOutput(layer)}"; open it on what compileActivations wrote of this very target.`,
    );
  }
  const filters = output.shape[1] ?? 0;
  const sum = sums.get(layer) ?? zeros("float64", [classes, filters]);
  sums.set(layer, sum);
  const values = output.data as Float32Array;
  for (const [row, label] of labels.entries()) {
    for (let f = 0; f < filters; f++) sum.data[label * filters + f]! += values[row * filters + f]!;
  }
}

function meansOf(layer: string, sum: Tensor<"float64">, counts: readonly number[]): Tensor<"float64"> {
  const filters = sum.shape[1] ?? 0;
  const data = sum.data.map((value, i) => value / Math.max(1, counts[Math.floor(i / filters)]!));
  if (!data.every(Number.isFinite))
    throw new SheafError(
      "diverged",
      `Layer "${layer}" of the target gives values that are not finite; give the weights of a sound training.`,
    );
  return tensor("float64", sum.shape, data);
}
