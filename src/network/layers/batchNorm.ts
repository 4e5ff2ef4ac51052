/** Batch normalization over batch and pixels (Ioffe and Szegedy 2015): one multiply and one add per value, forward; one linear form, backward. */
import type { Value } from "../../onnx/graph.ts";
import { batchStatistics, inputGradientForm, normalization, runningStatistics, updateRunning } from "../batchStatistics.ts";
import { channelAffine, channelSum, perChannel } from "../channels.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const batchNorm: LayerRules<"batchNorm"> = {
  arity: [1, 1],
  outputShape: (_layer, [x]) => x ?? { channels: 0, height: 0, width: 0 },
  parameters(_layer, [x]) {
    const shape = [x?.channels ?? 0];
    const row = (name: string, role: "parameter" | "state", value: number) =>
      ({ name, shape, role, initializer: { type: "constant", value }, decay: false }) as const;
    return [row("weight", "parameter", 1), row("bias", "parameter", 0), row("running_mean", "state", 0), row("running_var", "state", 1)];
  },
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, layer, [x], output) {
    const { value } = x as Activation;
    const b = context.builder;
    const training = context.mode === "train";
    const statistics = training ? batchStatistics(context, value, layer.epsilon) : runningStatistics(context, value, layer.epsilon);
    const { scale, shift } = normalization(context, statistics, context.parameter("weight"), context.parameter("bias"));
    if (training) updateRunning(context, layer, statistics.mean, statistics);
    return {
      output: { value: channelAffine(context, value, scale, shift, "normalized"), shape: output },
      backward(dy, [wanted]) {
        const sumDy = channelSum(context, dy, "biasGradient");
        const sumDyX = channelSum(context, b.mul(dy, value), "weightedSum");
        const { dGamma, slope, offset } = inputGradientForm(context, statistics, scale, sumDy, sumDyX);
        if (!wanted) return { inputs: [undefined], parameters: { weight: dGamma, bias: sumDy } };
        const scaled = b.mul(dy, perChannel(context, scale));
        // Running statistics do not depend on the input; a batch's do.
        const dInput = training
          ? b.add(scaled, channelAffine(context, value, slope, offset, "statisticsGradient"), "inputGradient")
          : scaled;
        return { inputs: [dInput], parameters: { weight: dGamma, bias: sumDy } };
      },
    };
  },
  deploy(context, layer, [x]) {
    const inputs = ["weight", "bias", "running_mean", "running_var"].map((name) => context.parameter(name));
    return context.builder.op("BatchNormalization", [x as Value, ...inputs], { epsilon: { float: layer.epsilon } }, layer.name);
  },
};
