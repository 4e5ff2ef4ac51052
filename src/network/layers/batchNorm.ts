/** Batch normalization over batch and pixels (Ioffe and Szegedy 2015): one multiply and one add per value, forward; one linear form, backward. */
import type { Value } from "../../onnx/graph.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const batchNorm: LayerRules<"batchNorm"> = {
  arity: [1, 1],
  outputShape: (_layer, [x]) => x ?? { channels: 0, height: 0, width: 0 },
  parameters(_layer, [x]) {
    const shape = [x?.channels ?? 0];
    const row = (name: string, role: "parameter" | "state", value: number) =>
      ({ name, shape, role, initializer: { type: "constant", value }, decay: false }) as const;
    return [row("weight", "parameter", 1), row("bias", "parameter", 0), row("running_mean", "state", 0), row("running_var", "state", 1)];
  },
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  train(context, layer, [x], output) {
    const { value } = x as Activation;
    const b = context.builder;
    const [channels = 0, pixels = 0, batch = 0] = value.shape;
    const count = pixels * batch;
    const column = (v: Value): Value => b.reshape(v, [channels, 1]);
    const constant = (v: number): Value => b.float(context.dtype, v);
    const rows = b.reshape(value, [channels, count]);
    const gamma = column(context.parameter("weight"));
    const beta = column(context.parameter("bias"));
    const training = context.mode === "train";

    const mean = training ? b.reduceMean(rows, [1], true, "mean") : column(context.parameter("running_mean"));
    // E[x^2] - E[x]^2 saves a pass over the activation; clipped at 0 because rounding can take it below.
    const variance = training
      ? b.op("Relu", [b.sub(b.reduceMean(b.mul(rows, rows, "square"), [1]), b.mul(mean, mean))], {}, "variance")
      : column(context.parameter("running_var"));
    const inverse = b.op("Reciprocal", [b.op("Sqrt", [b.add(variance, constant(layer.epsilon))])], {}, "inverseDeviation");
    const scale = b.mul(gamma, inverse, "scale");
    const shift = b.sub(beta, b.mul(mean, scale), "shift");
    const result = b.add(b.mul(rows, scale), shift, "normalized");

    if (training) {
      const running = (name: string, batchValue: Value): void => {
        const kept = b.mul(context.parameter(name), constant(1 - layer.momentum));
        context.updateState(name, b.add(kept, b.mul(b.reshape(batchValue, [channels]), constant(layer.momentum))));
      };
      running("running_mean", mean);
      // The running variance is the unbiased one, as in PyTorch; a batch of one value has none and keeps its 0.
      running("running_var", b.mul(variance, constant(count / Math.max(1, count - 1))));
    }
    return {
      output: { value: b.reshape(result, value.shape), shape: output },
      backward(gradient, [wanted]) {
        const dy = b.reshape(gradient, [channels, count]);
        const sumDy = b.reduceSum(dy, [1], true, "biasGradient");
        const sumDyX = b.reduceSum(b.mul(dy, rows), [1]);
        const dGamma = b.mul(inverse, b.sub(sumDyX, b.mul(mean, sumDy)), "weightGradient");
        let dInput: Value | undefined;
        if (wanted) {
          // dx = scale * (dy - sumDy / n - xhat * dGamma / n), gathered into a*dy + b*x + c.
          const slope = b.mul(b.mul(b.mul(scale, inverse), dGamma), constant(-1 / count));
          const offset = b.sub(b.mul(b.mul(scale, sumDy), constant(-1 / count)), b.mul(slope, mean));
          const terms = b.add(b.mul(dy, scale), b.mul(rows, slope));
          dInput = b.reshape(b.add(terms, offset, "inputGradient"), value.shape);
        }
        return { inputs: [dInput], parameters: { weight: b.reshape(dGamma, [channels]), bias: b.reshape(sumDy, [channels]) } };
      },
    };
  },
  deploy(context, layer, [x]) {
    const inputs = ["weight", "bias", "running_mean", "running_var"].map((name) => context.parameter(name));
    return context.builder.op("BatchNormalization", [x as Value, ...inputs], { epsilon: { float: layer.epsilon } }, layer.name);
  },
};
