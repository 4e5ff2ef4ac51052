/** Group normalization (Wu and He 2018): each sample by itself, over the pixels and channels of a group. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import { floats } from "../../util/tensor.ts";
import type { Activation, LayerRules } from "../rules.ts";
import { checkGroups } from "../windows.ts";

export const groupNorm: LayerRules<"groupNorm"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    checkGroups(layer);
    if (x && x.channels % layer.groups !== 0) {
      throw new SheafError("network", `Layer "${layer.name}": ${layer.groups} groups do not divide its ${x.channels} channels.`);
    }
    return x ?? { channels: 0, height: 0, width: 0 };
  },
  parameters(_layer, [x]) {
    const row = (name: string, value: number) =>
      ({ name, shape: [x?.channels ?? 0], role: "parameter", initializer: { type: "constant", value }, decay: false }) as const;
    return [row("weight", 1), row("bias", 0)];
  },
  macs: () => 0,
  workspaceElements: (_layer, _inputs, output) => output.channels * output.height * output.width,
  width: () => "same",
  train(context, layer, [x], output) {
    const b = context.builder;
    const { value, shape } = x as Activation;
    const [channels = 0, pixels = 0, batch = 0] = value.shape;
    const grouped = [layer.groups, (channels / layer.groups) * pixels, batch] as const;
    const perChannel = (v: Value): Value => b.reshape(v, [channels, 1, 1]);
    const groups = (v: Value): Value => b.reshape(v, grouped);
    const rows = groups(value);
    const centred = b.sub(rows, b.reduceMean(rows, [1]));
    const variance = b.reduceMean(b.mul(centred, centred), [1]);
    const inverse = b.op("Reciprocal", [b.op("Sqrt", [b.add(variance, b.float(context.dtype, layer.epsilon))])]);
    const standard = b.mul(centred, inverse, "standardized");
    const gamma = perChannel(context.parameter("weight"));
    const result = b.add(b.mul(b.reshape(standard, value.shape), gamma), perChannel(context.parameter("bias")));
    return {
      output: { value: result, shape: output },
      backward(gradient, [wanted]) {
        const sum = (v: Value): Value => b.reduceSum(b.reshape(v, [channels, pixels * batch]), [1], false);
        const parameters = { weight: sum(b.mul(gradient, b.reshape(standard, value.shape))), bias: sum(gradient) };
        if (!wanted) return { inputs: [undefined], parameters };
        // dx = (g - mean(g) - xhat * mean(g * xhat)) / deviation, with g = dy * gamma.
        const g = groups(b.mul(gradient, gamma));
        const correlation = b.reduceMean(b.mul(g, standard), [1]);
        const inner = b.sub(b.sub(g, b.reduceMean(g, [1])), b.mul(standard, correlation));
        return { inputs: [b.reshape(b.mul(inner, inverse), [channels, shape.height * shape.width, batch])], parameters };
      },
    };
  },
  deploy(context, layer, [x], _shapes, output) {
    // Opset 18 has no stable GroupNormalization: an instance normalization over [N, groups, rest] is the same thing.
    const b = context.builder;
    const value = x as Value;
    const unit = (v: number): Value => b.constant(floats(context.dtype, [layer.groups], new Float32Array(layer.groups).fill(v)), "unit");
    const rest = (output.channels / layer.groups) * output.height * output.width;
    const standard = b.op(
      "InstanceNormalization",
      [b.op("Reshape", [value, b.ints([-1, layer.groups, rest])]), unit(1), unit(0)],
      { epsilon: { float: layer.epsilon } },
      layer.name,
    );
    const flat = value.shape.length === 2;
    const shaped = b.op("Reshape", [standard, b.ints(flat ? [-1, output.channels] : [-1, output.channels, output.height, output.width])]);
    const column = (name: string): Value => b.reshape(context.parameter(name), flat ? [1, output.channels] : [1, output.channels, 1, 1]);
    return b.add(b.mul(shaped, column("weight")), column("bias"), `${layer.name}_scaled`);
  },
};
