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
      // 1 where the input was positive, else 0. (`Sign` of the output would do, and takes several times as long.)
      backward(gradient) {
        const positive = b.op("Greater", [result, b.float(context.dtype, 0)], {}, "positive");
        return { inputs: [b.mul(gradient, b.cast(positive, context.dtype))], parameters: {} };
      },
    };
  },
  deploy: (context, layer, [x]) => context.builder.op("Relu", [x as Value], {}, layer.name),
};
