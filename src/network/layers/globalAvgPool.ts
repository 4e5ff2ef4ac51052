/** Mean over all pixels of a channel. */
import type { Value } from "../../onnx/graph.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const globalAvgPool: LayerRules<"globalAvgPool"> = {
  arity: [1, 1],
  outputShape: (_layer, [x]) => ({ channels: x?.channels ?? 0, height: 1, width: 1 }),
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, _layer, [x], output) {
    const b = context.builder;
    const { value, shape } = x as Activation;
    const pixels = shape.height * shape.width;
    return {
      output: { value: pixels === 1 ? value : b.reduceMean(value, [1]), shape: output },
      backward(gradient) {
        if (pixels === 1) return { inputs: [gradient], parameters: {} };
        const share = b.mul(gradient, b.float(context.dtype, 1 / pixels));
        return { inputs: [b.op("Expand", [share, b.ints(value.shape)])], parameters: {} };
      },
    };
  },
  deploy: (context, layer, [x]) => context.builder.op("GlobalAveragePool", [x as Value], {}, layer.name),
};
