/** Operations on whole channels of batch-innermost activations, in as few passes over memory as standard operators allow. */
import type { Value } from "../onnx/graph.ts";
import { floats } from "../util/tensor.ts";
import type { TrainingContext } from "./rules.ts";

/** An activation [channels, pixels, batch] as rows [channels, pixels * batch]. */
export function channelRows(context: TrainingContext, value: Value): Value {
  const [channels = 0, pixels = 0, batch = 0] = value.shape;
  return context.builder.reshape(value, [channels, pixels * batch]);
}

/**
 * scale * x + shift for each channel; `scale` and `shift` are [channels]. Written as the inference form of `BatchNormalization`
 * with mean 0 and variance 1, which is one pass; a broadcast `Mul` and `Add` are two.
 */
export function channelAffine(
  context: Pick<TrainingContext, "builder" | "dtype">,
  x: Value,
  scale: Value,
  shift: Value,
  hint: string,
): Value {
  const b = context.builder;
  const [channels = 0] = x.shape;
  const filled = (value: number): Value => b.constant(floats(context.dtype, [channels], Array(channels).fill(value)), "statistics");
  const rows = b.reshape(x, [1, channels, x.shape.slice(1).reduce((product, extent) => product * extent, 1)]);
  const result = b.op("BatchNormalization", [rows, scale, shift, filled(0), filled(1)], { epsilon: { float: 0 } }, hint);
  return b.reshape(result, x.shape);
}

/** A channel's coefficients [channels] in the shape that broadcasts over [channels, pixels, batch]. */
export function perChannel(context: TrainingContext, coefficients: Value): Value {
  return context.builder.reshape(coefficients, [coefficients.shape[0] ?? 0, 1, 1]);
}

/** Sum of an activation over pixels and batch, [channels]. */
export function channelSum(context: TrainingContext, value: Value, hint: string): Value {
  return context.builder.reduceSum(channelRows(context, value), [1], false, hint);
}
