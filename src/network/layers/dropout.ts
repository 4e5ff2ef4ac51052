/** Dropout (Srivastava et al. 2014), scaled in training so that inference is the identity. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const dropout: LayerRules<"dropout"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    if (!(layer.probability >= 0 && layer.probability < 1)) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}": dropout probability must be at least 0 and under 1, got ${layer.probability}.`,
      );
    }
    return x ?? { channels: 0, height: 0, width: 0 };
  },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: (_layer, _inputs, output) => output.channels * output.height * output.width,
  width: () => "same",
  train(context, layer, [x], output) {
    const b = context.builder;
    const { value } = x as Activation;
    if (context.mode === "evaluate" || layer.probability === 0) {
      return { output: { value, shape: output }, backward: (gradient) => ({ inputs: [gradient], parameters: {} }) };
    }
    const kept = b.op("GreaterOrEqual", [context.uniform(value.shape), b.float(context.dtype, layer.probability)]);
    const mask = b.mul(b.cast(kept, context.dtype), b.float(context.dtype, 1 / (1 - layer.probability)), "mask");
    return {
      output: { value: b.mul(value, mask), shape: output },
      backward: (gradient) => ({ inputs: [b.mul(gradient, mask)], parameters: {} }),
    };
  },
  deploy: (_context, _layer, [x]) => x as Value,
};
