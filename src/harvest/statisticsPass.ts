/** The statistics pass: every branch over a device's own samples once, forward only, summed inside the graph in float64. */
import { fillBatchNchw } from "../data/augment.ts";
import { sampleSize } from "../data/dataset.ts";
import type { Samples } from "../data/samples.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import type { Session } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import { type Tensor, zeros } from "../util/tensor.ts";
import { writeExpansion } from "./expansion.ts";
import { imageInput, writeBranches } from "./globalModel.ts";
import { type BranchLayout, type Harvested, layOut } from "./harvested.ts";
import { arraysOf, type DeviceStatistics, emptyStatistics, mirrorLower, type StatisticsWidths } from "./statistics.ts";

/** A compiled statistics pass; one run of `graph` sums over one batch. */
export interface StatisticsProgram {
  readonly graph: Graph;
  readonly batchSize: number;
  readonly classCount: number;
  readonly layout: BranchLayout;
  readonly widths: StatisticsWidths;
}

/** What is summed beyond the moments of features and log-probabilities. */
export interface StatisticsExtras {
  /** Products of features and log-probabilities, which H3 needs. */
  readonly scores?: boolean;
  /** [expanded, features]: moments of this expansion and its products with the features, which H4 needs. */
  readonly expansion?: Tensor<"float32">;
}

/**
 * Compiles the statistics pass over the given branches. Inputs: `image` [batch, channels, height, width], float32 raw values; `target`
 * [batch, classes], float64 one-hot rows, all zero for a row that does not count. Outputs, float64 sums over the batch: `features.gram`,
 * `features.sums`, `logProbabilities.gram`, `logProbabilities.sums`, and with extras `scores.cross`, `expanded.gram`, `expanded.sums`, `expanded.cross`.
 * Batch and shapes are static: write it without a batch axis.
 * Throws `config` when the branches do not go together or the expansion is of another number of features.
 */
export function compileStatistics(
  harvested: readonly Harvested[],
  classCount: number,
  batchSize: number = 128,
  extras: StatisticsExtras = {},
): StatisticsProgram {
  const layout = layOut(harvested.map((h) => h.subModel));
  const { scores = false, expansion } = extras;
  if (expansion && expansion.shape[1] !== layout.features) {
    throw new SheafError(
      "config",
      `An expansion of ${expansion.shape[1]} features does not fit branches that give ${layout.features}; make it for these branches.`,
    );
  }
  const b = new GraphBuilder();
  const image = imageInput(b, harvested, batchSize);
  const target = b.input("target", "float64", [batchSize, classCount]);
  const outputs = writeBranches(b, harvested, image, true);
  const counts = b.reduceSum(target, [1], true, "counts");
  const rowsOf = (value: Value): Value => b.cast(value, "float64");
  const sumUp = (kind: string, rows: Value): Value => {
    const counted = b.mul(rows, counts);
    b.output(`${kind}.gram`, b.op("Gemm", [counted, rows], { transA: 1 }));
    b.output(`${kind}.sums`, b.op("Gemm", [rows, target], { transA: 1 }));
    return counted;
  };
  const features = sumUp("features", rowsOf(outputs.features));
  const scoreRows = rowsOf(outputs.logProbabilities as Value);
  sumUp("logProbabilities", scoreRows);
  if (scores) b.output("scores.cross", b.op("Gemm", [features, scoreRows], { transA: 1 }));
  if (expansion) {
    const rows = rowsOf(writeExpansion(b, outputs.features, expansion));
    sumUp("expanded", rows);
    b.output("expanded.cross", b.op("Gemm", [features, rows], { transA: 1 }));
  }
  const widths = { features: layout.features, logProbabilities: layout.logProbabilities, scores, expanded: expansion?.shape[0] ?? 0 };
  return { graph: b.build("sheaf-statistics"), batchSize, classCount, layout, widths };
}

/** Multiply-adds of the sums themselves for one sample, and of the expansion; the branches' forward passes come on top. */
export function statisticsMacs(widths: StatisticsWidths, classCount: number): number {
  const { features, logProbabilities, expanded = 0, scores = false } = widths;
  // The expansion is computed from the features, then multiplied with them.
  const products = 2 * features * expanded + (scores ? features * logProbabilities : 0);
  return [features, logProbabilities, expanded].reduce((sum, width) => sum + width * (width + classCount), products);
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
  const { batchSize, classCount, widths } = program;
  const { dataset } = source;
  const size = sampleSize(dataset.shape);
  const result = emptyStatistics(classCount, widths);
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
  for (const moments of [result.features, result.logProbabilities, result.expanded]) {
    // A blocked product may round its two halves differently: one half counts.
    if (moments) mirrorLower(moments.gram, moments.width);
  }
  for (const [name, values] of arraysOf(result)) {
    if (!values.every(Number.isFinite)) {
      throw new SheafError(
        "diverged",
        `The statistics pass gave ${name.split(".")[0]} that are not finite; a branch is broken: inspect the harvests and leave it out.`,
      );
    }
  }
  return result;
}

function accumulate(into: DeviceStatistics, batch: Readonly<Record<string, Tensor>>): void {
  for (const [name, sum] of arraysOf(into)) {
    const values = batch[name]?.data as Float64Array | undefined;
    // Counts are counted outside the graph.
    if (values) for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (values[i] as number);
  }
}
