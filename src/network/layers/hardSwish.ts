/** x * clip(x / 6 + 1/2, 0, 1) (Howard et al. 2019). */
import type { Value } from "../../onnx/graph.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const hardSwish: LayerRules<"hardSwish"> = {
  arity: [1, 1],
  outputShape: (_layer, [x]) => x ?? { channels: 0, height: 0, width: 0 },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, _layer, [x], output) {
    const b = context.builder;
    const { value } = x as Activation;
    const number = (v: number): Value => b.float(context.dtype, v);
    return {
      output: { value: b.op("HardSwish", [value]), shape: output },
      // With t = x held between -3 and 3: y' = (t + 3 + x) / 6 where t = x, and (t + 3) / 6 (0 or 1) beyond.
      backward(gradient) {
        const held = b.op("Clip", [value, number(-3), number(3)], {}, "held");
        const inside = b.cast(b.op("Equal", [held, value], {}, "inside"), context.dtype);
        const slope = b.add(b.add(held, number(3)), b.mul(value, inside));
        return { inputs: [b.mul(gradient, b.mul(slope, number(1 / 6)))], parameters: {} };
      },
    };
  },
  deploy: (context, layer, [x]) => context.builder.op("HardSwish", [x as Value], {}, layer.name),
};
