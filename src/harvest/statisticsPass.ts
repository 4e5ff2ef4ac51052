/** The statistics pass: every branch over a device's own samples once, forward only, summed inside the graph in float64. */
import { fillBatchNchw } from "../data/augment.ts";
import { sampleSize } from "../data/dataset.ts";
import type { Samples } from "../data/samples.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import type { Session } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import { type Tensor, zeros } from "../util/tensor.ts";
import { imageInput, writeBranches } from "./globalModel.ts";
import { type BranchLayout, type Harvested, layOut } from "./harvested.ts";
import { type DeviceStatistics, emptyStatistics, mirrorLower, momentKinds } from "./statistics.ts";

/** A compiled statistics pass; one run of `graph` sums over one batch. */
export interface StatisticsProgram {
  readonly graph: Graph;
  readonly batchSize: number;
  readonly classCount: number;
  readonly layout: BranchLayout;
}

/**
 * Compiles the statistics pass over the given branches. Inputs: `image` [batch, channels, height, width], float32 raw values; `target`
 * [batch, classes], float64 one-hot rows, all zero for a row that does not count. Outputs, float64 sums over the batch: `features.gram`,
 * `features.sums`, `logProbabilities.gram`, `logProbabilities.sums`. Batch and shapes are static: write it without a batch axis.
 * Throws `config` when the branches do not go together.
 */
export function compileStatistics(harvested: readonly Harvested[], classCount: number, batchSize = 128): StatisticsProgram {
  const b = new GraphBuilder();
  const image = imageInput(b, harvested, batchSize);
  const target = b.input("target", "float64", [batchSize, classCount]);
  const outputs = writeBranches(b, harvested, image, true);
  const counts = b.reduceSum(target, [1], true, "counts");
  for (const kind of momentKinds) {
    const rows = b.cast(outputs[kind] as Value, "float64");
    const gram = b.op("Gemm", [b.mul(rows, counts), rows], { transA: 1 });
    const sums = b.op("Gemm", [rows, target], { transA: 1 });
    b.output(`${kind}.gram`, gram);
    b.output(`${kind}.sums`, sums);
  }
  return { graph: b.build("sheaf-statistics"), batchSize, classCount, layout: layOut(harvested.map((h) => h.subModel)) };
}

/** Multiply-adds of the sums themselves for one sample; the branches' forward passes come on top. */
export function statisticsMacs(layout: BranchLayout, classCount: number): number {
  return momentKinds.reduce((sum, kind) => sum + layout[kind] * (layout[kind] + classCount), 0);
}

export interface StatisticsOptions {
  readonly signal?: AbortSignal;
  /** Called after each batch. */
  readonly onProgress?: (samplesDone: number, samples: number) => void;
}

/**
 * Runs the pass over the samples of `source` at `indices`, in their order, unaugmented. `session` is open on the program's graph.
 * The order of summation is fixed: the same samples, branches and machine give the same bytes.
 * Throws `data` for a label that is not below the class count, `diverged` when a branch gives a value that is not finite,
 * `interrupted` when `signal` is aborted.
 */
export async function computeStatistics(
  session: Session,
  program: StatisticsProgram,
  source: Samples,
  indices: ArrayLike<number>,
  options: StatisticsOptions = {},
): Promise<DeviceStatistics> {
  const { batchSize, classCount, layout } = program;
  const { dataset } = source;
  const size = sampleSize(dataset.shape);
  const result = emptyStatistics(classCount, layout);
  const image = zeros("float32", [batchSize, dataset.shape.channels, dataset.shape.height, dataset.shape.width]);
  const target = zeros("float64", [batchSize, classCount]);
  // Large sums: written into the same memory for every batch.
  const sums = Object.fromEntries(program.graph.outputs.map(({ name, shape }) => [name, zeros("float64", shape)]));
  for (let start = 0; start < indices.length; start += batchSize) {
    if (options.signal?.aborted)
      throw new SheafError("interrupted", `The statistics pass was stopped after ${start} of ${indices.length} samples; run it again.`);
    const count = Math.min(batchSize, indices.length - start);
    const batch = Array.from({ length: count }, (_, row) => indices[start + row] as number);
    image.data.fill(0);
    target.data.fill(0);
    batch.forEach((sample, row) => {
      const label = dataset.labels[sample];
      if (label === undefined || label >= classCount) {
        throw new SheafError(
          "data",
          `Sample ${sample} of ${dataset.name} has label ${label}; the statistics pass needs labels 0 to ${classCount - 1}.`,
        );
      }
      target.data[row * classCount + label] = 1;
      result.counts[label] = (result.counts[label] as number) + 1;
    });
    fillBatchNchw(image.data.subarray(0, count * size), source, batch);
    accumulate(result, await session.run({ image, target }, sums));
    options.onProgress?.(start + count, indices.length);
  }
  for (const kind of momentKinds) {
    const { gram, width, sums } = result[kind];
    // A blocked product may round its two halves differently: one half counts.
    mirrorLower(gram, width);
    if (![gram, sums].every((values) => values.every(Number.isFinite))) {
      throw new SheafError(
        "diverged",
        `The statistics pass gave ${kind} that are not finite; a branch is broken: inspect the harvests and leave it out.`,
      );
    }
  }
  return result;
}

function accumulate(into: DeviceStatistics, batch: Readonly<Record<string, Tensor>>): void {
  for (const kind of momentKinds) {
    for (const part of ["gram", "sums"] as const) {
      const total = into[kind][part];
      const values = batch[`${kind}.${part}`]?.data as Float64Array;
      for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (values[i] as number);
    }
  }
}
