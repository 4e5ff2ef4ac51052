/** Sum of activations of one shape. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const add: LayerRules<"add"> = {
  arity: [2, 64],
  outputShape(layer, inputs) {
    const [first, ...rest] = inputs;
    for (const other of rest) {
      if (first && (other.channels !== first.channels || other.height !== first.height || other.width !== first.width)) {
        const text = inputs.map((s) => `${s.channels}x${s.height}x${s.width}`).join(", ");
        throw new SheafError("network", `Layer "${layer.name}": add needs inputs of one shape, got ${text}.`);
      }
    }
    return first ?? { channels: 0, height: 0, width: 0 };
  },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, _layer, inputs, output) {
    const values = inputs.map((x) => (x as Activation).value);
    return {
      output: { value: values.reduce((sum, v) => context.builder.add(sum, v)), shape: output },
      backward: (gradient) => ({ inputs: values.map(() => gradient), parameters: {} }),
    };
  },
  deploy: (context, layer, inputs) => inputs.reduce((sum: Value, v: Value) => context.builder.add(sum, v, layer.name)),
};
