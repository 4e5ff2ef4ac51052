/** [channels, height, width] to a vector, channel by channel, row by row. */
import type { Value } from "../../onnx/graph.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const flatten: LayerRules<"flatten"> = {
  arity: [1, 1],
  outputShape: (_layer, [x]) => ({ channels: x ? x.channels * x.height * x.width : 0, height: 1, width: 1 }),
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, _layer, [x], output) {
    const { value } = x as Activation;
    return {
      output: { value: context.builder.reshape(value, [output.channels, 1, context.batchSize]), shape: output },
      backward: (gradient) => ({ inputs: [context.builder.reshape(gradient, value.shape)], parameters: {} }),
    };
  },
  deploy: (context, layer, [x]) =>
    (x as Value).shape.length === 2 ? (x as Value) : context.builder.op("Flatten", [x as Value], { axis: 1 }, layer.name),
};
