/** Two-dimensional convolution: gather and MatMul in training, `Conv` when deployed. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import { zeros } from "../../util/tensor.ts";
import type { FeatureShape, Layer } from "../network.ts";
import type { Activation, LayerRules, TrainingContext } from "../rules.ts";
import { gatherTable, scatterTable, windowOutput } from "../windows.ts";

type Conv = Layer<"conv2d">;

const only = (inputs: readonly FeatureShape[]): FeatureShape => inputs[0] as FeatureShape;
const places = (layer: Conv): number => layer.kernel[0] * layer.kernel[1];
const inPerGroup = (layer: Conv, inputs: readonly FeatureShape[]): number => only(inputs).channels / layer.groups;

/** A 1x1 convolution of stride 1 reads its input as it is: its columns are the activation. */
const isPointwise = (layer: Conv): boolean =>
  places(layer) === 1 && layer.stride.every((s) => s === 1) && layer.padding.every((p) => p === 0);

/** Appends one pixel of zeros, which the tables name for places outside the image. */
export function withZeroPixel(context: TrainingContext, value: Value): Value {
  const [channels = 0, , batch = 0] = value.shape;
  const pixel = context.builder.constant(zeros(context.dtype, [channels, 1, batch]), "zeroPixel");
  return context.builder.concat([value, pixel], 1, "padded");
}

/** The window columns of an activation: [channels, places * output pixels, batch]. */
export function gatherColumns(context: TrainingContext, value: Value, table: Int32Array, hint: string): Value {
  const pixels = value.shape[1] ?? 0;
  const padded = table.some((index) => index >= pixels) ? withZeroPixel(context, value) : value;
  return context.builder.gather(padded, context.builder.indices(table, [table.length], `${hint}Table`), 1, hint);
}

/** Product over groups: [groups, m, k] x [groups, k, n], without the group axis when there is one group. */
function groupedMatMul(context: TrainingContext, groups: number, weight: Value, columns: Value, pixels: number): Value {
  const b = context.builder;
  const batch = context.batchSize;
  const outPerGroup = (weight.shape[0] ?? 0) / groups;
  const inner = weight.shape[1] ?? 0;
  if (groups === 1) return b.reshape(b.matMul(weight, b.reshape(columns, [inner, pixels * batch])), [outPerGroup, pixels, batch]);
  const product = b.matMul(b.reshape(weight, [groups, outPerGroup, inner]), b.reshape(columns, [groups, inner, pixels * batch]));
  return b.reshape(product, [groups * outPerGroup, pixels, batch]);
}

/** dW = dY x columns^T for each group, as [outChannels, inner]. */
function weightGradient(context: TrainingContext, groups: number, gradient: Value, columns: Value, inner: number): Value {
  const b = context.builder;
  const [outChannels = 0, pixels = 0, batch = 0] = gradient.shape;
  if (groups === 1) {
    const matrix = b.reshape(gradient, [outChannels, pixels * batch]);
    return b.op("Gemm", [matrix, b.reshape(columns, [inner, pixels * batch])], { transB: 1 }, "weightGradient");
  }
  const grouped = b.reshape(gradient, [groups, outChannels / groups, pixels * batch]);
  const transposed = b.transpose(b.reshape(columns, [groups, inner, pixels * batch]), [0, 2, 1]);
  return b.reshape(b.matMul(grouped, transposed, "weightGradient"), [outChannels, inner]);
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
  const b = context.builder;
  const k = places(layer);
  const outPerGroup = layer.outChannels / layer.groups;
  const inPer = input.channels / layer.groups;
  const columns = isPointwise(layer) ? gradient : gatherColumns(context, gradient, inverse, "gradientColumns");
  const shaped = b.reshape(weight, [layer.groups, outPerGroup, inPer, k]);
  const turned = b.reshape(b.transpose(shaped, [0, 2, 1, 3], "turnedWeight"), [input.channels, outPerGroup * k]);
  return groupedMatMul(context, layer.groups, turned, columns, input.height * input.width);
}

/**
 * Input gradient by scattering: dColumns = W^T dY, then each input pixel collects the places that read it.
 * Best at larger strides, where few places read a pixel.
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
  const inputPixels = input.height * input.width;
  const outPerGroup = layer.outChannels / layer.groups;
  const inPer = input.channels / layer.groups;
  const shaped = b.transpose(b.reshape(weight, [layer.groups, outPerGroup, inPer * k]), [0, 2, 1]);
  const columns = b.matMul(shaped, b.reshape(gradient, [layer.groups, outPerGroup, outPixels * batch]), "gradientColumns");
  // Only the places that some window really reads; the rest of a pixel's list points at the zero pixel.
  const readers: number[][] = Array.from({ length: inputPixels }, () => []);
  for (let place = 0; place < k; place++) {
    for (let pixel = 0; pixel < inputPixels; pixel++) {
      const out = inverse[place * inputPixels + pixel] as number;
      if (out < outPixels) readers[pixel]?.push(place * outPixels + out);
    }
  }
  const most = Math.max(1, ...readers.map((r) => r.length));
  const table = new Int32Array(most * inputPixels);
  for (let i = 0; i < most; i++) {
    for (let pixel = 0; pixel < inputPixels; pixel++) table[i * inputPixels + pixel] = readers[pixel]?.[i] ?? k * outPixels;
  }
  const gathered = gatherColumns(context, b.reshape(columns, [input.channels, k * outPixels, batch]), table, "readers");
  const stacked = b.reshape(gathered, [input.channels, most, inputPixels * batch]);
  return b.reshape(b.reduceSum(stacked, [1]), [input.channels, inputPixels, batch]);
}

export const conv2d: LayerRules<"conv2d"> = {
  arity: [1, 1],
  outputShape(layer, inputs) {
    const { channels } = only(inputs);
    if (!Number.isInteger(layer.outChannels) || layer.outChannels < 1) {
      throw new SheafError("network", `Layer "${layer.name}": outChannels must be a whole number of at least 1, got ${layer.outChannels}.`);
    }
    if (channels % layer.groups !== 0 || layer.outChannels % layer.groups !== 0) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}": ${layer.groups} groups must divide both its ${channels} input channels and its ${layer.outChannels} output channels.`,
      );
    }
    const [height, width] = windowOutput(layer, layer, only(inputs));
    return { channels: layer.outChannels, height, width };
  },
  parameters(layer, inputs) {
    const inner = inPerGroup(layer, inputs);
    const fanIn = inner * places(layer);
    const fanOut = (layer.outChannels / layer.groups) * places(layer);
    const weight = {
      name: "weight",
      shape: [layer.outChannels, inner, ...layer.kernel],
      role: "parameter",
      initializer: { type: "kaimingNormal", fan: fanOut },
      decay: true,
    } as const;
    const bias = {
      name: "bias",
      shape: [layer.outChannels],
      role: "parameter",
      initializer: { type: "uniform", bound: 1 / Math.sqrt(fanIn) },
      decay: false,
    } as const;
    return layer.bias ? [weight, bias] : [weight];
  },
  macs: (layer, inputs, output) => output.channels * output.height * output.width * inPerGroup(layer, inputs) * places(layer),
  workspaceElements: (layer, inputs, output) =>
    isPointwise(layer) ? 0 : only(inputs).channels * places(layer) * output.height * output.width,
  width: () => "own",
  train(context, layer, [x], output) {
    const { value, shape } = x as Activation;
    const b = context.builder;
    const k = places(layer);
    const inPixels = shape.height * shape.width;
    const outPixels = output.height * output.width;
    const inner = (shape.channels / layer.groups) * k;
    const table = gatherTable(layer, shape, [output.height, output.width], inPixels);
    const weight = context.parameter("weight");
    const matrix = b.reshape(weight, [layer.outChannels, inner]);
    const columns = isPointwise(layer) ? value : gatherColumns(context, value, table, "columns");
    const product = groupedMatMul(context, layer.groups, matrix, columns, outPixels);
    const result = layer.bias ? b.add(product, b.reshape(context.parameter("bias"), [layer.outChannels, 1, 1])) : product;
    return {
      output: { value: result, shape: output },
      backward(gradient, [wanted]) {
        const dWeight = b.reshape(weightGradient(context, layer.groups, gradient, columns, inner), weight.shape);
        const dBias = layer.bias
          ? b.reduceSum(b.reshape(gradient, [layer.outChannels, outPixels * context.batchSize]), [1], false)
          : undefined;
        let dInput: Value | undefined;
        if (wanted) {
          const inverse = scatterTable(table, k, inPixels, outPixels, outPixels);
          const dense = layer.stride.every((s) => s === 1);
          dInput = (dense ? inputGradientByColumns : inputGradientByScatter)(context, layer, matrix, gradient, inverse, shape);
        }
        return { inputs: [dInput], parameters: dBias ? { weight: dWeight, bias: dBias } : { weight: dWeight } };
      },
    };
  },
  deploy(context, layer, [x]) {
    const [padY, padX] = layer.padding;
    const inputs = [x as Value, context.parameter("weight")];
    if (layer.bias) inputs.push(context.parameter("bias"));
    return context.builder.op(
      "Conv",
      inputs,
      { kernel_shape: layer.kernel, strides: layer.stride, pads: [padY, padX, padY, padX], dilations: layer.dilation, group: layer.groups },
      layer.name,
    );
  },
};
