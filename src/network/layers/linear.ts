/** Fully connected layer. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const linear: LayerRules<"linear"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    if (x && (x.height !== 1 || x.width !== 1)) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}": a linear layer needs a vector, got ${x.channels}x${x.height}x${x.width}; put flatten or globalAvgPool before it.`,
      );
    }
    if (!Number.isInteger(layer.outFeatures) || layer.outFeatures < 1) {
      throw new SheafError("network", `Layer "${layer.name}": outFeatures must be a whole number of at least 1, got ${layer.outFeatures}.`);
    }
    return { channels: layer.outFeatures, height: 1, width: 1 };
  },
  parameters(layer, [x]) {
    const features = x?.channels ?? 0;
    const initializer = { type: "uniform", bound: 1 / Math.sqrt(features) } as const;
    const weight = { name: "weight", shape: [layer.outFeatures, features], role: "parameter", initializer, decay: true } as const;
    return layer.bias ? [weight, { name: "bias", shape: [layer.outFeatures], role: "parameter", initializer, decay: false }] : [weight];
  },
  macs: (layer, [x]) => layer.outFeatures * (x?.channels ?? 0),
  workspaceElements: () => 0,
  width: () => "own",
  train(context, layer, [x], output) {
    const b = context.builder;
    const { value, shape } = x as Activation;
    const batch = context.batchSize;
    const rows = b.reshape(value, [shape.channels, batch]);
    const weight = context.parameter("weight");
    const product = b.matMul(weight, rows);
    const result = layer.bias ? b.add(product, b.reshape(context.parameter("bias"), [layer.outFeatures, 1])) : product;
    return {
      output: { value: b.reshape(result, [layer.outFeatures, 1, batch]), shape: output },
      backward(gradient, [wanted]) {
        const dy = b.reshape(gradient, [layer.outFeatures, batch]);
        const dWeight = b.op("Gemm", [dy, rows], { transB: 1 }, "weightGradient");
        const dInput = wanted ? b.reshape(b.op("Gemm", [weight, dy], { transA: 1 }, "inputGradient"), value.shape) : undefined;
        return { inputs: [dInput], parameters: layer.bias ? { weight: dWeight, bias: b.reduceSum(dy, [1], false) } : { weight: dWeight } };
      },
    };
  },
  deploy(context, layer, [x]) {
    const b = context.builder;
    const value = x as Value;
    const flat = value.shape.length === 2 ? value : b.op("Flatten", [value], { axis: 1 }, `${layer.name}_flatten`);
    const inputs = [flat, context.parameter("weight")];
    if (layer.bias) inputs.push(context.parameter("bias"));
    return b.op("Gemm", inputs, { transB: 1 }, layer.name);
  },
};
