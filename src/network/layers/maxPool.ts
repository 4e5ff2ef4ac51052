/** Largest value of each window. Windows that tile in halves go by slices; all others by an index table. */
import type { Value } from "../../onnx/graph.ts";
import { floats } from "../../util/tensor.ts";
import { gatherColumns } from "../convolve.ts";
import type { FeatureShape, Layer } from "../network.ts";
import type { Activation, LayerRules, Traced, TrainingContext } from "../rules.ts";
import { gatherTable, poolOutput, scatterTable, tilesExactly } from "../windows.ts";

type MaxPool = Layer<"maxPool">;
const lowest = -3.4028234663852886e38;

/** The larger of two neighbours along axis 1 of [outer, 2, inner]; of equal neighbours the first wins, as in PyTorch. */
function halve(context: TrainingContext, value: Value, outer: number, inner: number): { output: Value; backward(gradient: Value): Value } {
  const b = context.builder;
  const pairs = b.reshape(value, [outer, 2, inner]);
  const part = (i: number): Value => b.op("Slice", [pairs, b.ints([i]), b.ints([i + 1]), b.ints([1])], {}, "half");
  const [first, second] = [part(0), part(1)];
  const output = b.op("Max", [first, second]);
  return {
    output,
    backward(gradient) {
      const dy = b.reshape(gradient, [outer, 1, inner]);
      const dFirst = b.mul(dy, b.cast(b.op("GreaterOrEqual", [first, second]), context.dtype));
      return b.concat([dFirst, b.sub(dy, dFirst)], 1);
    },
  };
}

/** 2x2 windows of stride 2: halve the rows, then the columns. */
function trainHalving(context: TrainingContext, { value, shape }: Activation, output: FeatureShape): Traced {
  const b = context.builder;
  const batch = context.batchSize;
  const rows = halve(context, value, shape.channels * output.height, shape.width * batch);
  const columns = halve(context, rows.output, shape.channels * output.height * output.width, batch);
  return {
    output: { value: b.reshape(columns.output, [output.channels, output.height * output.width, batch]), shape: output },
    backward: (gradient) => ({ inputs: [b.reshape(rows.backward(columns.backward(gradient)), value.shape)], parameters: {} }),
  };
}

/** Any window. Where several places of a window are equally largest, they share the gradient. */
function trainWindows(context: TrainingContext, layer: MaxPool, { value, shape }: Activation, output: FeatureShape): Traced {
  const b = context.builder;
  const batch = context.batchSize;
  const k = layer.kernel[0] * layer.kernel[1];
  const inPixels = shape.height * shape.width;
  const outPixels = output.height * output.width;
  const table = gatherTable({ ...layer, dilation: [1, 1] }, shape, [output.height, output.width], inPixels);
  const pixel = (): Value =>
    b.constant(floats(context.dtype, [shape.channels, 1, batch], new Float32Array(shape.channels * batch).fill(lowest)), "lowestPixel");
  const padded = table.includes(inPixels) ? b.concat([value, pixel()], 1, "padded") : value;
  const windows = b.reshape(b.gather(padded, b.indices(table, [table.length], "windowTable"), 1, "windows"), [
    shape.channels,
    k,
    outPixels * batch,
  ]);
  const largest = b.op("ReduceMax", [windows, b.ints([1])], { keepdims: 1 });
  return {
    output: { value: b.reshape(largest, [output.channels, outPixels, batch]), shape: output },
    backward(gradient) {
      const mask = b.cast(b.op("Equal", [windows, largest]), context.dtype);
      const share = b.div(b.reshape(gradient, [shape.channels, 1, outPixels * batch]), b.reduceSum(mask, [1]));
      const spread = b.reshape(b.mul(mask, share), [shape.channels, k * outPixels, batch]);
      const inverse = scatterTable(table, k, inPixels, outPixels, outPixels);
      const readers = inverse.map((out, i) => (out < outPixels ? Math.floor(i / inPixels) * outPixels + out : k * outPixels));
      const collected = b.reshape(gatherColumns(context, spread, readers, "readers"), [shape.channels, k, inPixels * batch]);
      return { inputs: [b.reshape(b.reduceSum(collected, [1]), value.shape)], parameters: {} };
    },
  };
}

export const maxPool: LayerRules<"maxPool"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    const input = x as FeatureShape;
    const [height, width] = poolOutput(layer, input);
    return { channels: input.channels, height, width };
  },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: (layer, [x], output) => {
    const halving = tilesExactly({ ...layer, dilation: [1, 1] }, x as FeatureShape) && layer.kernel.every((k) => k === 2);
    const places = halving ? 4 : layer.kernel[0] * layer.kernel[1];
    return places * output.channels * output.height * output.width;
  },
  width: () => "same",
  train(context, layer, [x], output) {
    const input = x as Activation;
    const halving = tilesExactly({ ...layer, dilation: [1, 1] }, input.shape) && layer.kernel.every((k) => k === 2);
    return halving ? trainHalving(context, input, output) : trainWindows(context, layer, input, output);
  },
  deploy(context, layer, [x]) {
    const [padY, padX] = layer.padding;
    return context.builder.op(
      "MaxPool",
      [x as Value],
      { kernel_shape: layer.kernel, strides: layer.stride, pads: [padY, padX, padY, padX] },
      layer.name,
    );
  },
};
