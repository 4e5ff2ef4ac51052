/** What batch normalization knows of a batch, and what follows from it; shared by the layer and by its fusion with a pool. */
import type { Value } from "../onnx/graph.ts";
import { channelRows } from "./channels.ts";
import type { Layer } from "./network.ts";
import type { TrainingContext } from "./rules.ts";

/** All [channels]. */
export interface BatchStatistics {
  readonly mean: Value;
  /** Biased. */
  readonly variance: Value;
  /** 1 / sqrt(variance + epsilon). */
  readonly inverse: Value;
  /** Values in each channel. */
  readonly count: number;
}

/** Mean and variance of each channel of an activation. */
export function batchStatistics(context: TrainingContext, value: Value, epsilon: number): BatchStatistics {
  const b = context.builder;
  const rows = channelRows(context, value);
  const mean = b.reduceMean(rows, [1], false, "mean");
  // E[x^2] - E[x]^2 saves a pass over the activation; clipped at 0 because rounding can take it below.
  const variance = b.op("Relu", [b.sub(b.reduceMean(b.mul(rows, rows, "square"), [1], false), b.mul(mean, mean))], {}, "variance");
  return { mean, variance, inverse: inverseDeviation(context, variance, epsilon), count: rows.shape[1] ?? 0 };
}

/** The running averages in the place of a batch's statistics. */
export function runningStatistics(context: TrainingContext, value: Value, epsilon: number): BatchStatistics {
  const variance = context.parameter("running_var");
  const [, pixels = 0, batch = 0] = value.shape;
  return {
    mean: context.parameter("running_mean"),
    variance,
    inverse: inverseDeviation(context, variance, epsilon),
    count: pixels * batch,
  };
}

function inverseDeviation(context: TrainingContext, variance: Value, epsilon: number): Value {
  const b = context.builder;
  return b.op("Reciprocal", [b.op("Sqrt", [b.add(variance, b.float(context.dtype, epsilon))])], {}, "inverseDeviation");
}

/** scale and shift so that normalizing, times gamma, plus beta, is scale * x + shift. */
export function normalization(
  context: TrainingContext,
  statistics: Pick<BatchStatistics, "mean" | "inverse">,
  gamma: Value,
  beta: Value,
): { readonly scale: Value; readonly shift: Value } {
  const b = context.builder;
  const scale = b.mul(gamma, statistics.inverse, "scale");
  return { scale, shift: b.sub(beta, b.mul(statistics.mean, scale), "shift") };
}

/** Moves the running averages towards a batch's mean and unbiased variance, as in PyTorch. */
export function updateRunning(
  context: TrainingContext,
  layer: Layer<"batchNorm">,
  mean: Value,
  { variance, count }: BatchStatistics,
): void {
  const b = context.builder;
  const constant = (v: number): Value => b.float(context.dtype, v);
  const running = (name: string, batchValue: Value): void => {
    const kept = b.mul(context.parameter(name), constant(1 - layer.momentum));
    context.updateState(name, b.add(kept, b.mul(batchValue, constant(layer.momentum))));
  };
  running("running_mean", mean);
  // A batch of one value has no unbiased variance and keeps its 0.
  running("running_var", b.mul(variance, constant(count / Math.max(1, count - 1))));
}

/**
 * Coefficients of the input gradient: dx = scale * (dy - sumDy / n - xhat * dGamma / n) = scale * dy + slope * x + offset.
 * `sumDyX` is the sum of dy * x; all are [channels].
 */
export function inputGradientForm(
  context: TrainingContext,
  { mean, inverse, count }: BatchStatistics,
  scale: Value,
  sumDy: Value,
  sumDyX: Value,
): { readonly dGamma: Value; readonly slope: Value; readonly offset: Value } {
  const b = context.builder;
  const share = b.float(context.dtype, -1 / count);
  const dGamma = b.mul(inverse, b.sub(sumDyX, b.mul(mean, sumDy)), "weightGradient");
  const slope = b.mul(b.mul(b.mul(scale, inverse), dGamma), share);
  const offset = b.sub(b.mul(b.mul(scale, sumDy), share), b.mul(slope, mean));
  return { dGamma, slope, offset };
}
