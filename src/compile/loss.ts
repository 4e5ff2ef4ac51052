/** Softmax cross-entropy with soft targets and label smoothing, and its gradient. */
import type { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import type { FloatDType } from "../util/tensor.ts";

export interface Loss {
  /** Mean over the batch, a scalar. */
  readonly loss: Value;
  /** Gradient with respect to the logits, [classes, batch]. */
  readonly gradient: Value;
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
