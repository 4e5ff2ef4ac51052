/** Rectifier. */
import type { Value } from "../../onnx/graph.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const relu: LayerRules<"relu"> = {
  arity: [1, 1],
  outputShape: (_layer, [x]) => x ?? { channels: 0, height: 0, width: 0 },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, _layer, [x], output) {
    const b = context.builder;
    const result = b.op("Relu", [(x as Activation).value]);
    return {
      output: { value: result, shape: output },
      // The output is never negative, so its sign is the mask: 1 where the input was positive, else 0.
      backward: (gradient) => ({ inputs: [b.mul(gradient, b.op("Sign", [result], {}, "mask"))], parameters: {} }),
    };
  },
  deploy: (context, layer, [x]) => context.builder.op("Relu", [x as Value], {}, layer.name),
};
