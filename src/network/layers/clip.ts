/** Values held between two limits; ReLU6 is 0 to 6. The gradient passes where the value does, the limits included, as in PyTorch's `clamp`. */
import type { GraphBuilder } from "../../onnx/builder.ts";
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import type { FloatDType } from "../../util/tensor.ts";
import type { Layer } from "../network.ts";
import type { Activation, LayerRules } from "../rules.ts";

function clipped(b: GraphBuilder, dtype: FloatDType, layer: Layer<"clip">, x: Value): Value {
  return b.op("Clip", [x, b.float(dtype, layer.minimum), b.float(dtype, layer.maximum)], {}, layer.name);
}

export const clip: LayerRules<"clip"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    const { minimum, maximum } = layer;
    if (!(Number.isFinite(minimum) && Number.isFinite(maximum) && minimum < maximum)) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}": a clip needs a finite minimum below its maximum, got ${minimum} and ${maximum}.`,
      );
    }
    return x ?? { channels: 0, height: 0, width: 0 };
  },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, layer, [x], output) {
    const b = context.builder;
    const { value } = x as Activation;
    const result = clipped(b, context.dtype, layer, value);
    return {
      output: { value: result, shape: output },
      // One comparison with the input tells what lay between the limits; two with the limits would be two passes more.
      backward(gradient) {
        const inside = b.op("Equal", [result, value], {}, "inside");
        return { inputs: [b.mul(gradient, b.cast(inside, context.dtype))], parameters: {} };
      },
    };
  },
  deploy: (context, layer, [x]) => clipped(context.builder, context.dtype, layer, x as Value),
};
