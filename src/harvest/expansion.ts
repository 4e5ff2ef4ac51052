/** Random ReLU features of the branches' features (Huang et al., "Extreme learning machine", 2006; Rahimi and Recht, 2008): weights from the seed, never trained. */
import type { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import { random } from "../util/random.ts";
import { type Tensor, zeros } from "../util/tensor.ts";

/**
 * Weights [size, features] of the expansion ReLU(R f), normal with variance 1 / features. There is no bias: features come out of a ReLU and are
 * not negative, so the mean of r . f is a random threshold of its own, and the expansion fits branches of any scale.
 * Every device makes them from the seed; they do not travel.
 */
export function expansionWeights(seed: number, size: number, features: number): Tensor<"float32"> {
  const source = random(seed, "expansion", size, features);
  const weight = zeros("float32", [size, features]);
  const scale = 1 / Math.sqrt(features);
  for (let i = 0; i < weight.data.length; i++) weight.data[i] = scale * source.normal();
  return weight;
}

/** Writes ReLU(R f) for features [N, features]: [N, size]. */
export function writeExpansion(b: GraphBuilder, features: Value, weight: Tensor<"float32">): Value {
  return b.op("Relu", [b.op("Gemm", [features, b.parameter("expansion", weight)], { transB: 1 })]);
}
