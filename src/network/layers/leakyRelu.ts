/** Rectifier that lets a share of negative values through (Maas et al. 2013). */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const leakyRelu: LayerRules<"leakyRelu"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    if (!Number.isFinite(layer.slope)) {
      throw new SheafError("network", `Layer "${layer.name}": slope must be a finite number, such as 0.01, got ${layer.slope}.`);
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
    const result = b.op("LeakyRelu", [value], { alpha: { float: layer.slope } });
    // The output tells the input's sign unless the slope turns it round, and then the input need not be kept.
    const signed = layer.slope >= 0 ? result : value;
    return {
      output: { value: result, shape: output },
      backward(gradient) {
        const positive = b.op("Greater", [signed, b.float(context.dtype, 0)], {}, "positive");
        const [one, slope] = [b.float(context.dtype, 1), b.float(context.dtype, Math.fround(layer.slope))];
        // The mask of 0 and 1 with its zeros raised to the slope: cheaper than a choice between two numbers.
        const factor =
          layer.slope >= 0 && layer.slope < 1
            ? b.op("Clip", [b.cast(positive, context.dtype), slope, one], {}, "factor")
            : b.op("Where", [positive, one, slope], {}, "factor");
        return { inputs: [b.mul(gradient, factor)], parameters: {} };
      },
    };
  },
  deploy: (context, layer, [x]) => context.builder.op("LeakyRelu", [x as Value], { alpha: { float: layer.slope } }, layer.name),
};
