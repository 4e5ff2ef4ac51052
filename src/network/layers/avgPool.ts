/** Mean of each window, by an index table. */
import type { Value } from "../../onnx/graph.ts";
import { floats } from "../../util/tensor.ts";
import { gatherColumns } from "../convolve.ts";
import type { FeatureShape, Layer } from "../network.ts";
import type { Activation, LayerRules, TrainingContext } from "../rules.ts";
import { gatherTable, poolOutput, scatterTable } from "../windows.ts";

/** 1 / number of values in each window, as [1, output pixels, 1]. */
function weights(context: TrainingContext, layer: Layer<"avgPool">, table: Int32Array, outPixels: number, inPixels: number): Value {
  const places = layer.kernel[0] * layer.kernel[1];
  const values = Array.from({ length: outPixels }, (_, o) => {
    let inside = 0;
    for (let k = 0; k < places; k++) if ((table[k * outPixels + o] as number) < inPixels) inside++;
    return 1 / (layer.countPadding ? places : inside);
  });
  return context.builder.constant(floats(context.dtype, [1, outPixels, 1], values), "windowWeights");
}

export const avgPool: LayerRules<"avgPool"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    const input = x as FeatureShape;
    const [height, width] = poolOutput(layer, input);
    return { channels: input.channels, height, width };
  },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: (layer, _inputs, output) => layer.kernel[0] * layer.kernel[1] * output.channels * output.height * output.width,
  width: () => "same",
  train(context, layer, [x], output) {
    const b = context.builder;
    const { value, shape } = x as Activation;
    const batch = context.batchSize;
    const k = layer.kernel[0] * layer.kernel[1];
    const inPixels = shape.height * shape.width;
    const outPixels = output.height * output.width;
    const table = gatherTable({ ...layer, dilation: [1, 1] }, shape, [output.height, output.width], inPixels);
    const weight = weights(context, layer, table, outPixels, inPixels);
    const windows = b.reshape(gatherColumns(context, value, table, "windows"), [shape.channels, k, outPixels * batch]);
    const sums = b.reshape(b.reduceSum(windows, [1]), [shape.channels, outPixels, batch]);
    return {
      output: { value: b.mul(sums, weight), shape: output },
      backward(gradient) {
        const inverse = scatterTable(table, k, inPixels, outPixels, outPixels);
        const shares = gatherColumns(context, b.mul(gradient, weight), inverse, "readers");
        const stacked = b.reshape(shares, [shape.channels, k, inPixels * batch]);
        return { inputs: [b.reshape(b.reduceSum(stacked, [1]), value.shape)], parameters: {} };
      },
    };
  },
  deploy(context, layer, [x]) {
    const [padY, padX] = layer.padding;
    return context.builder.op(
      "AveragePool",
      [x as Value],
      { kernel_shape: layer.kernel, strides: layer.stride, pads: [padY, padX, padY, padX], count_include_pad: layer.countPadding ? 1 : 0 },
      layer.name,
    );
  },
};
