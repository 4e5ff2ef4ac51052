/** Logistic function. */
import type { Value } from "../../onnx/graph.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const sigmoid: LayerRules<"sigmoid"> = {
  arity: [1, 1],
  outputShape: (_layer, [x]) => x ?? { channels: 0, height: 0, width: 0 },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, _layer, [x], output) {
    const b = context.builder;
    const y = b.op("Sigmoid", [(x as Activation).value]);
    return {
      output: { value: y, shape: output },
      // y' = y (1 - y) = y - y^2, from the output alone.
      backward: (gradient) => ({ inputs: [b.mul(gradient, b.sub(y, b.mul(y, y)))], parameters: {} }),
    };
  },
  deploy: (context, layer, [x]) => context.builder.op("Sigmoid", [x as Value], {}, layer.name),
};
