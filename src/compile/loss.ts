/** Softmax cross-entropy with soft targets and label smoothing, and its gradient. */
import type { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import { type FloatDType, floats } from "../util/tensor.ts";

export interface Loss {
  /** Mean over the batch, a scalar. */
  readonly loss: Value;
  /** Gradient with respect to the logits, [classes, batch]. */
  readonly gradient: Value;
}

/**
 * Logits [classes, batch] with a constant added to each class; the same logits without one. With tau log(share of the class in training) a loss on them has
 * the optimum of a training with (for tau 1) equally frequent classes (Menon et al. 2021, "Long-tail learning via logit adjustment", equation 10).
 * Throws `config` unless there is a finite number for every class.
 */
export function offsetLogits(builder: GraphBuilder, dtype: FloatDType, logits: Value, offset: readonly number[] | undefined): Value {
  if (!offset) return logits;
  const [classes = 0] = logits.shape;
  if (offset.length !== classes || !offset.every(Number.isFinite)) {
    throw new SheafError("config", `A loss over ${classes} logits needs as many finite offsets, got ${offset.join(", ") || "none"}.`);
  }
  return builder.add(logits, builder.constant(floats(dtype, [classes, 1], offset), "lossOffset"), "offsetLogits");
}

/**
 * Mean over the batch of -sum(t * log softmax(logits)), where t = (1 - smoothing) * target + smoothing / classes
 * (Szegedy et al. 2016). `logits` and `target` are [classes, batch]; the columns of `target` sum to 1.
 */
export function softmaxCrossEntropy(builder: GraphBuilder, dtype: FloatDType, logits: Value, target: Value, smoothing: number): Loss {
  const b = builder;
  const [classes = 0, batch = 0] = logits.shape;
  const smooth =
    smoothing > 0 ? b.add(b.mul(target, b.float(dtype, 1 - smoothing)), b.float(dtype, smoothing / classes), "smoothedTarget") : target;
  const shifted = b.sub(logits, b.op("ReduceMax", [logits, b.ints([0])], { keepdims: 1 }));
  const exponentials = b.op("Exp", [shifted]);
  const sums = b.reduceSum(exponentials, [0]);
  const logProbabilities = b.sub(shifted, b.op("Log", [sums]), "logProbabilities");
  const total = b.reduceSum(b.mul(smooth, logProbabilities), [0, 1], false);
  return {
    loss: b.mul(total, b.float(dtype, -1 / batch), "loss"),
    gradient: b.mul(b.sub(b.div(exponentials, sums), smooth), b.float(dtype, 1 / batch), "logitsGradient"),
  };
}
