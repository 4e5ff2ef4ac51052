/**
 * Depthwise convolution (one group per input channel) of batch-innermost activations by banded matrices: along the height, a channel's
 * kernel is a matrix T[output row, input row, kernel column] with a band of weights, so that one grouped `Conv` over the image
 * [1, channels * height, width, batch] does the rest along the width. Most of T is zeros; the products are dense and fast, and no
 * columns of all kernel places go through memory, which is what a depthwise convolution would otherwise spend its time on.
 * See bench/NOTES.md for where this pays.
 */
import type { Value } from "../onnx/graph.ts";
import { floats } from "../util/tensor.ts";
import type { FeatureShape, Layer } from "./network.ts";
import type { TrainingContext } from "./rules.ts";
import { gatherTable } from "./windows.ts";

type Conv = Layer<"conv2d">;

/** A convolution with one group per input channel, and more than one of them; its outputs per channel may be several. */
export const isDepthwise = (layer: Layer, input: FeatureShape | undefined): layer is Conv =>
  layer.type === "conv2d" && layer.groups > 1 && layer.groups === input?.channels;

/** Whether banded matrices are faster than columns: the band must not be too thin a part of the matrix, nor the kernel too flat. */
export function paysBanded(layer: Conv, input: FeatureShape): boolean {
  return isDepthwise(layer, input) && layer.kernel[0] >= 3 && input.height <= 48;
}

/** A depthwise convolution in banded form. Values are float32, as `Conv` is in no other type. */
export interface Banded {
  forward(weight: Value, x: Value): Value;
  weightGradient(x: Value, gradient: Value): Value;
  /** Undefined where the padding reaches beyond the kernel, which would crop the gradient's image. */
  readonly inputGradient: ((weight: Value, gradient: Value) => Value) | undefined;
}

/** Which entries of T each kernel place fills, [kernel places, product of extents]: 1 where `at` says, else 0. */
function selection(
  layer: Conv,
  input: FeatureShape,
  output: FeatureShape,
  at: (outputRow: number, inputRow: number, kernelColumn: number) => number,
): Float32Array {
  const [kernelHeight, kernelWidth] = layer.kernel;
  const extent = output.height * input.height * kernelWidth;
  const result = new Float32Array(kernelHeight * kernelWidth * extent);
  for (let ky = 0; ky < kernelHeight; ky++) {
    for (let oy = 0; oy < output.height; oy++) {
      const y = oy * layer.stride[0] + ky * layer.dilation[0] - layer.padding[0];
      if (y < 0 || y >= input.height) continue;
      for (let kx = 0; kx < kernelWidth; kx++) result[(ky * kernelWidth + kx) * extent + at(oy, y, kx)] = 1;
    }
  }
  return result;
}

export function banded(context: TrainingContext, layer: Conv, input: FeatureShape, output: FeatureShape): Banded {
  const b = context.builder;
  const batch = context.batchSize;
  const [kernelHeight, kernelWidth] = layer.kernel;
  const places = kernelHeight * kernelWidth;
  const { channels, height, width } = input;
  const multiplier = layer.outChannels / channels;
  const extent = output.height * height * kernelWidth;
  const constant = (values: Float32Array): Value => b.constant(floats("float32", [places, extent], values), "band");
  /** A `Conv` along the width alone, every channel with its own matrix [rows out, rows in, kernel width]. */
  const along = (x: Value, rows: number, columns: number, matrix: Value, stride: number, left: number, right: number): Value => {
    const image = b.reshape(x, [1, rows, columns, batch]);
    return b.op("Conv", [image, matrix], {
      kernel_shape: [kernelWidth, 1],
      strides: [stride, 1],
      pads: [left, 0, right, 0],
      dilations: [layer.dilation[1], 1],
      group: channels,
    });
  };
  /** Columns of pixels by their index; `columns`, one beyond the last, names a column of zeros. */
  const gatherWidth = (x: Value, rows: number, columns: number, table: Int32Array, hint: string): Value => {
    const image = b.reshape(x, [rows, columns, batch]);
    const padded = table.includes(columns) ? b.op("Pad", [image, b.ints([0, 0, 0, 0, 1, 0])], {}, "padded") : image;
    return b.gather(padded, b.indices(table, [table.length], `${hint}Table`), 1, hint);
  };

  /** Padding of the convolution along the width that carries gradients back. */
  const left = layer.dilation[1] * (kernelWidth - 1) - layer.padding[1];
  const spread = layer.stride[1] * (output.width - 1) + 1;

  return {
    forward(weight, x) {
      const band = constant(selection(layer, input, output, (oy, y, kx) => (oy * height + y) * kernelWidth + kx));
      const matrix = b.reshape(b.matMul(b.reshape(weight, [layer.outChannels, places]), band, "banded"), [
        layer.outChannels * output.height,
        height,
        kernelWidth,
        1,
      ]);
      const result = along(x, channels * height, width, matrix, layer.stride[1], layer.padding[1], layer.padding[1]);
      return b.reshape(result, [layer.outChannels, output.height * output.width, batch]);
    },
    // The gradient of T, of which the weights' is a sum along the band. Columns are gathered along the width alone.
    weightGradient(x, gradient) {
      const table = gatherTable(
        { kernel: [1, kernelWidth], stride: [1, layer.stride[1]], padding: [0, layer.padding[1]], dilation: [1, layer.dilation[1]] },
        { channels: 1, height: 1, width },
        [1, output.width],
        width,
      );
      const run = output.width * batch;
      const columns = b.reshape(gatherWidth(x, channels * height, width, table, "columns"), [channels, height * kernelWidth, run]);
      const dy = b.transpose(b.reshape(gradient, [channels, multiplier * output.height, run]), [0, 2, 1]);
      const product = b.matMul(columns, dy, "bandedGradient");
      const shaped = b.reshape(product, [channels, height * kernelWidth, multiplier, output.height]);
      const perOutput = b.reshape(multiplier === 1 ? shaped : b.transpose(shaped, [0, 2, 1, 3]), [layer.outChannels, extent]);
      const band = constant(selection(layer, input, output, (oy, y, kx) => (y * kernelWidth + kx) * output.height + oy));
      const result = b.op("Gemm", [perOutput, band], { transB: 1 }, "weightGradient");
      return b.reshape(result, [layer.outChannels, 1, kernelHeight, kernelWidth]);
    },
    inputGradient:
      left < 0
        ? undefined
        : (weight, gradient) => {
            const last = kernelWidth - 1;
            const band = constant(selection(layer, input, output, (oy, y, kx) => (y * output.height + oy) * kernelWidth + last - kx));
            const product = b.matMul(b.reshape(weight, [layer.outChannels, places]), band, "banded");
            const shaped = b.reshape(product, [channels, multiplier, height, output.height * kernelWidth]);
            const matrix = b.reshape(multiplier === 1 ? shaped : b.transpose(shaped, [0, 2, 1, 3]), [
              channels * height,
              multiplier * output.height,
              kernelWidth,
              1,
            ]);
            // A stride leaves columns of zeros between those of the gradient.
            const table = new Int32Array(spread).fill(output.width);
            for (let ox = 0; ox < output.width; ox++) table[ox * layer.stride[1]] = ox;
            const rows = layer.outChannels * output.height;
            const dy = spread === output.width ? gradient : gatherWidth(gradient, rows, output.width, table, "spread");
            const right = width - spread - left + layer.dilation[1] * last;
            return b.reshape(along(dy, rows, spread, matrix, 1, left, right), [channels, height * width, batch]);
          },
  };
}
