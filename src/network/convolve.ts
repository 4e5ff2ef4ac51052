/**
 * Convolution of batch-innermost activations, forward and backward, by one of three lowerings.
 * Direct: a `Conv` over the image [1, channels, height, width * batch]. Moving by one pixel is moving by `batch` values, so kernel
 * places along the width lie `batch` apart (a dilation) and padding is `batch` values wide. No columns are stored.
 * By columns: `Gather` with an index table, then one MatMul. Any stride and dtype; better where images are tiny and weights large.
 * Banded: depthwise convolutions in float32; see `depthwise.ts`.
 */
import type { Value } from "../onnx/graph.ts";
import { floats, zeros } from "../util/tensor.ts";
import { banded, paysBanded } from "./depthwise.ts";
import type { FeatureShape, Layer } from "./network.ts";
import type { Activation, TrainingContext } from "./rules.ts";
import { gatherTable, scatterTable } from "./windows.ts";

type Conv = Layer<"conv2d">;

/** Kernel places of a convolution. */
export const places = (layer: Conv): number => layer.kernel[0] * layer.kernel[1];
const pixels = (shape: FeatureShape): number => shape.height * shape.width;

/** A 1x1 convolution of stride 1 reads its input as it is: its columns are the activation. */
export const isPointwise = (layer: Conv): boolean =>
  places(layer) === 1 && layer.stride.every((s) => s === 1) && layer.padding.every((p) => p === 0);

/** Appends one pixel of zeros, which the tables name for places outside the image. */
function withZeroPixel(context: TrainingContext, value: Value): Value {
  const [channels = 0, , batch = 0] = value.shape;
  const pixel = context.builder.constant(zeros(context.dtype, [channels, 1, batch]), "zeroPixel");
  return context.builder.concat([value, pixel], 1, "padded");
}

/** The window columns of an activation: [channels, places * output pixels, batch]. */
export function gatherColumns(context: TrainingContext, value: Value, table: Int32Array, hint: string): Value {
  const count = value.shape[1] ?? 0;
  const padded = table.some((index) => index >= count) ? withZeroPixel(context, value) : value;
  return context.builder.gather(padded, context.builder.indices(table, [table.length], `${hint}Table`), 1, hint);
}

/** Product over groups: [groups, m, k] x [groups, k, n], without the group axis when there is one group. */
function groupedMatMul(context: TrainingContext, groups: number, weight: Value, columns: Value, count: number): Value {
  const b = context.builder;
  const batch = context.batchSize;
  const outPerGroup = (weight.shape[0] ?? 0) / groups;
  const inner = weight.shape[1] ?? 0;
  if (groups === 1) return b.reshape(b.matMul(weight, b.reshape(columns, [inner, count * batch])), [outPerGroup, count, batch]);
  const product = b.matMul(b.reshape(weight, [groups, outPerGroup, inner]), b.reshape(columns, [groups, inner, count * batch]));
  return b.reshape(product, [groups * outPerGroup, count, batch]);
}

/** dW = dY x columns^T for each group, as [outChannels, inner]. */
function weightGradient(context: TrainingContext, groups: number, gradient: Value, columns: Value, inner: number): Value {
  const b = context.builder;
  const [outChannels = 0, count = 0, batch = 0] = gradient.shape;
  if (groups === 1) {
    const matrix = b.reshape(gradient, [outChannels, count * batch]);
    return b.op("Gemm", [matrix, b.reshape(columns, [inner, count * batch])], { transB: 1 }, "weightGradient");
  }
  const grouped = b.reshape(gradient, [groups, outChannels / groups, count * batch]);
  const transposed = b.transpose(b.reshape(columns, [groups, inner, count * batch]), [0, 2, 1]);
  return b.reshape(b.matMul(grouped, transposed, "weightGradient"), [outChannels, inner]);
}

/** The weights [outChannels, inner] as those of the convolution that carries gradients back: [inChannels, outPerGroup * places]. */
function turnedWeight(context: TrainingContext, layer: Conv, weight: Value, inChannels: number): Value {
  const b = context.builder;
  const outPerGroup = layer.outChannels / layer.groups;
  const shaped = b.reshape(weight, [layer.groups, outPerGroup, inChannels / layer.groups, places(layer)]);
  return b.reshape(b.transpose(shaped, [0, 2, 1, 3], "turnedWeight"), [inChannels, outPerGroup * places(layer)]);
}

/**
 * Input gradient as a convolution of the output gradient with the weights turned round: gather of dY, one MatMul.
 * Best at stride 1, where the columns of dY have no holes.
 */
function inputGradientByColumns(
  context: TrainingContext,
  layer: Conv,
  weight: Value,
  gradient: Value,
  inverse: Int32Array,
  input: FeatureShape,
): Value {
  const columns = isPointwise(layer) ? gradient : gatherColumns(context, gradient, inverse, "gradientColumns");
  return groupedMatMul(context, layer.groups, turnedWeight(context, layer, weight, input.channels), columns, pixels(input));
}

/**
 * Input gradient by scattering: dColumns = W^T dY, then each input pixel collects the places that read it.
 * Best at larger strides and in tiny images, where few places read a pixel.
 */
function inputGradientByScatter(
  context: TrainingContext,
  layer: Conv,
  weight: Value,
  gradient: Value,
  inverse: Int32Array,
  input: FeatureShape,
): Value {
  const b = context.builder;
  const k = places(layer);
  const [, outPixels = 0, batch = 0] = gradient.shape;
  const inputPixels = pixels(input);
  const outPerGroup = layer.outChannels / layer.groups;
  const inPer = input.channels / layer.groups;
  // Only the places that some window really reads.
  const readers: (readonly [place: number, out: number])[][] = Array.from({ length: inputPixels }, () => []);
  for (let place = 0; place < k; place++) {
    for (let pixel = 0; pixel < inputPixels; pixel++) {
      const out = inverse[place * inputPixels + pixel] as number;
      if (out < outPixels) readers[pixel]?.push([place, out]);
    }
  }
  const most = Math.max(1, ...readers.map((r) => r.length));
  // Pixels with fewer readers read zeros instead: the columns of one more output pixel, whose gradient is 0.
  const ragged = readers.some((r) => r.length < most);
  const padded = ragged ? withZeroPixel(context, gradient) : gradient;
  const columnCount = outPixels + (ragged ? 1 : 0);
  const table = new Int32Array(most * inputPixels);
  for (let i = 0; i < most; i++) {
    for (let pixel = 0; pixel < inputPixels; pixel++) {
      const [place, out] = readers[pixel]?.[i] ?? [0, outPixels];
      table[i * inputPixels + pixel] = place * columnCount + out;
    }
  }
  const columns =
    layer.groups === 1
      ? b.op("Gemm", [weight, b.reshape(padded, [layer.outChannels, columnCount * batch])], { transA: 1 }, "gradientColumns")
      : b.matMul(
          b.transpose(b.reshape(weight, [layer.groups, outPerGroup, inPer * k]), [0, 2, 1]),
          b.reshape(padded, [layer.groups, outPerGroup, columnCount * batch]),
          "gradientColumns",
        );
  const gathered = gatherColumns(context, b.reshape(columns, [input.channels, k * columnCount, batch]), table, "readers");
  const stacked = b.reshape(gathered, [input.channels, most, inputPixels * batch]);
  return b.reshape(b.reduceSum(stacked, [1]), [input.channels, inputPixels, batch]);
}

interface DirectWindow {
  readonly stride: number;
  readonly padding: readonly [number, number];
}

/** A `Conv` over [1, channels, height, width * batch]; `weight` is [out, in per group, kernel height, kernel width]. */
function directConv(context: TrainingContext, layer: Conv, x: Value, shape: FeatureShape, weight: Value, window: DirectWindow): Value {
  const b = context.builder;
  const batch = context.batchSize;
  const [padY, padX] = [window.padding[0], window.padding[1] * batch];
  const image = b.reshape(x, [1, shape.channels, shape.height, shape.width * batch]);
  const result = b.op("Conv", [image, weight], {
    kernel_shape: layer.kernel,
    strides: [window.stride, 1],
    pads: [padY, padX, padY, padX],
    dilations: [layer.dilation[0], layer.dilation[1] * batch],
    group: layer.groups,
  });
  const [, channels = 0, height = 0, width = 0] = result.shape;
  return b.reshape(result, [channels, (height * width) / batch, batch]);
}

/** Input gradient by a `Conv` of dY, padded to the full, with the weights turned round and their places reversed. */
function inputGradientDirect(
  context: TrainingContext,
  layer: Conv,
  weight: Value,
  gradient: Value,
  input: FeatureShape,
  output: FeatureShape,
): Value {
  const b = context.builder;
  const k = places(layer);
  const outPerGroup = layer.outChannels / layer.groups;
  const turned = b.reshape(turnedWeight(context, layer, weight, input.channels), [input.channels * outPerGroup, k]);
  // A product with the reversing permutation is several times faster than Slice or Gather over runs of one value.
  const reversal = floats(
    context.dtype,
    [k, k],
    Array.from({ length: k * k }, (_, i) => (Math.floor(i / k) + (i % k) === k - 1 ? 1 : 0)),
  );
  const reversed = k === 1 ? turned : b.matMul(turned, b.constant(reversal, "reversal"), "reversedWeight");
  const shaped = b.reshape(reversed, [input.channels, outPerGroup, ...layer.kernel]);
  return directConv(context, layer, gradient, output, shaped, { stride: 1, padding: fullPadding(layer) });
}

/** Padding of the convolution that carries gradients back. */
const fullPadding = (layer: Conv): readonly [number, number] => [
  layer.dilation[0] * (layer.kernel[0] - 1) - layer.padding[0],
  layer.dilation[1] * (layer.kernel[1] - 1) - layer.padding[1],
];

// What is fastest where, measured; see bench/NOTES.md. Late layers have tiny images and many weights: gathering columns costs little
// beside the products, and rearranging the weights costs much. With few channels a `Conv` leaves most of its product's tile empty.
const isTiny = (shape: FeatureShape): boolean => pixels(shape) <= 4;
const isSmall = (shape: FeatureShape): boolean => pixels(shape) <= 16 && shape.channels <= 32;

// Runtimes have `Conv` in float32 only; along the width a stride would also skip samples.
const directForward = (context: TrainingContext, layer: Conv, output: FeatureShape): boolean =>
  context.dtype === "float32" && !isPointwise(layer) && layer.stride[1] === 1 && !isTiny(output);

type InputGradient = "direct" | "columns" | "scatter";
function inputGradientOf(context: TrainingContext, layer: Conv, input: FeatureShape): InputGradient {
  if (isPointwise(layer)) return "columns";
  if (layer.stride.some((s) => s > 1) || isTiny(input) || isSmall(input)) return "scatter";
  return context.dtype === "float32" && fullPadding(layer).every((p) => p >= 0) ? "direct" : "columns";
}

/** Weights [outChannels, inChannels / groups, kernel height, kernel width], of either direction. */
export interface Weights {
  readonly forward: Value;
  readonly backward: Value;
}

export interface Convolution {
  /** [outChannels, output pixels, batch]. */
  readonly value: Value;
  /** Gradient of the weights, [outChannels, inChannels / groups, kernel height, kernel width]. */
  weightGradient(gradient: Value): Value;
  /** Gradient of the input, through the backward weights. */
  inputGradient(gradient: Value): Value;
}

/** Writes the forward pass without bias, and keeps the backward passes at hand. */
export function convolve(context: TrainingContext, layer: Conv, weights: Weights, x: Activation, output: FeatureShape): Convolution {
  const b = context.builder;
  const { value, shape } = x;
  const k = places(layer);
  const inner = (shape.channels / layer.groups) * k;
  const inPixels = pixels(shape);
  const outPixels = pixels(output);
  const matrix = (weight: Value): Value => b.reshape(weight, [layer.outChannels, inner]);
  const table = gatherTable(layer, shape, [output.height, output.width], inPixels);
  const columns = (): Value => (isPointwise(layer) ? value : gatherColumns(context, value, table, "columns"));
  const direct = directForward(context, layer, output);
  const bands = context.dtype === "float32" && paysBanded(layer, shape) ? banded(context, layer, shape, output) : undefined;
  const forwardBands = bands && !(direct && output.height >= 16) ? bands : undefined;
  const kept = direct || forwardBands ? undefined : columns();
  const forward = (): Value => {
    if (forwardBands) return forwardBands.forward(weights.forward, value);
    if (kept) return groupedMatMul(context, layer.groups, matrix(weights.forward), kept, outPixels);
    return directConv(context, layer, value, shape, weights.forward, { stride: layer.stride[0], padding: layer.padding });
  };
  return {
    value: forward(),
    weightGradient: (gradient) =>
      bands?.weightGradient(value, gradient) ??
      b.reshape(weightGradient(context, layer.groups, gradient, kept ?? columns(), inner), weights.forward.shape),
    inputGradient(gradient) {
      if (bands?.inputGradient) return bands.inputGradient(weights.backward, gradient);
      const way = inputGradientOf(context, layer, shape);
      if (way === "direct") return inputGradientDirect(context, layer, weights.backward, gradient, shape, output);
      const inverse = scatterTable(table, k, inPixels, outPixels, outPixels);
      const write = way === "columns" ? inputGradientByColumns : inputGradientByScatter;
      return write(context, layer, matrix(weights.backward), gradient, inverse, shape);
    },
  };
}
