/** Concatenation along channels. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const concat: LayerRules<"concat"> = {
  arity: [2, 64],
  outputShape(layer, inputs) {
    const [first] = inputs;
    if (inputs.some((s) => s.height !== first?.height || s.width !== first?.width)) {
      const text = inputs.map((s) => `${s.channels}x${s.height}x${s.width}`).join(", ");
      throw new SheafError("network", `Layer "${layer.name}": concat needs inputs of one height and width, got ${text}.`);
    }
    return { channels: inputs.reduce((sum, s) => sum + s.channels, 0), height: first?.height ?? 0, width: first?.width ?? 0 };
  },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "sum",
  train(context, _layer, inputs, output) {
    const b = context.builder;
    const channels = inputs.map((x) => (x as Activation).shape.channels);
    return {
      output: {
        value: b.concat(
          inputs.map((x) => (x as Activation).value),
          0,
        ),
        shape: output,
      },
      backward: (gradient) => ({
        inputs: b.multi("Split", [gradient, b.ints(channels)], { axis: 0 }, channels.length),
        parameters: {},
      }),
    };
  },
  deploy: (context, layer, inputs) => context.builder.op("Concat", inputs as readonly Value[], { axis: 1 }, layer.name),
};
