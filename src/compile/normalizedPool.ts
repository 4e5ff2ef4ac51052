/**
 * Convolution, batch norm and max pool as one unit: statistics of the whole batch, but the pool before the normalization, which then
 * (and both sums of its backward pass) touches only the values that the pool keeps.
 * max(gamma * xhat + beta) = |gamma| * max(sign(gamma) * xhat) + beta, so the sign of gamma goes into the convolution's weights and
 * everything between works on x' = sign(gamma) * x.
 */

import { batchStatistics, inputGradientForm, normalization, updateRunning } from "../network/batchStatistics.ts";
import { channelAffine, channelSum, perChannel } from "../network/channels.ts";
import { convolve } from "../network/convolve.ts";
import { maxPool } from "../network/layers/maxPool.ts";
import type { Layer } from "../network/network.ts";
import type { Activation, Traced, TrainingContext } from "../network/rules.ts";
import type { PlacedLayer } from "../network/shapes.ts";
import type { Value } from "../onnx/graph.ts";
import { sizeOf } from "../util/tensor.ts";

export interface NormalizedPool {
  readonly conv: PlacedLayer;
  readonly norm: PlacedLayer;
  readonly pool: PlacedLayer;
}

/** Whether three layers in a row are such a unit, and cheaper as one: the activation must outweigh the pass over the weights. */
export function isNormalizedPool({ conv, norm, pool }: NormalizedPool, batchSize: number): boolean {
  if (conv.layer.type !== "conv2d" || norm.layer.type !== "batchNorm" || pool.layer.type !== "maxPool" || conv.layer.bias) return false;
  const { channels, height, width } = conv.output;
  const weights = conv.parameters.reduce((sum, p) => sum + sizeOf(p.shape), 0);
  return channels * height * width * batchSize >= weights && pool.output.height * pool.output.width < height * width;
}

export function traceNormalizedPool(
  { conv, norm, pool }: NormalizedPool,
  contextOf: (placed: PlacedLayer) => TrainingContext,
  input: Activation,
): Traced {
  const [convLayer, normLayer, poolLayer] = [
    conv.layer as Layer<"conv2d">,
    norm.layer as Layer<"batchNorm">,
    pool.layer as Layer<"maxPool">,
  ];
  const context = contextOf(conv);
  const b = context.builder;
  const inNorm = contextOf(norm);
  const gamma = inNorm.parameter("weight");
  const weight = context.parameter("weight");

  // 1 or -1; a gamma of 0 counts as positive.
  const negative = b.cast(b.op("Less", [gamma, b.float(context.dtype, 0)]), context.dtype);
  const sign = b.sub(b.float(context.dtype, 1), b.mul(negative, b.float(context.dtype, 2)), "sign");
  const signed = b.mul(weight, b.reshape(sign, [convLayer.outChannels, 1, 1, 1]), "signedWeight");
  const convolution = convolve(context, convLayer, { forward: signed, backward: weight }, input, conv.output);
  const x = convolution.value;
  const statistics = batchStatistics(context, x, normLayer.epsilon);
  updateRunning(inNorm, normLayer, b.mul(statistics.mean, sign), statistics);
  const pooled = maxPool.train(context, poolLayer, [{ value: x, shape: conv.output }], pool.output);
  const kept = pooled.output.value;
  const { scale, shift } = normalization(context, statistics, b.op("Abs", [gamma]), inNorm.parameter("bias"));
  return {
    output: { value: channelAffine(context, kept, scale, shift, "normalized"), shape: pool.output },
    backward(dy, [wanted]) {
      const sumDy = channelSum(context, dy, "biasGradient");
      const sumDyX = channelSum(context, b.mul(dy, kept), "weightedSum");
      const { dGamma, slope, offset } = inputGradientForm(context, statistics, scale, sumDy, sumDyX);
      // Times the sign once more, this is the gradient of x, and the convolution's own weights carry it further back.
      const scaled = b.mul(dy, perChannel(context, b.mul(scale, sign)));
      const [spread] = pooled.backward(scaled, [true]).inputs;
      const rest = channelAffine(context, x, b.mul(slope, sign), b.mul(offset, sign), "statisticsGradient");
      const dx = b.add(spread as Value, rest, "inputGradient");
      return {
        inputs: [wanted ? convolution.inputGradient(dx) : undefined],
        parameters: {
          [`${convLayer.name}.weight`]: convolution.weightGradient(dx),
          [`${normLayer.name}.weight`]: b.mul(dGamma, sign),
          [`${normLayer.name}.bias`]: sumDy,
        },
      };
    },
  };
}
