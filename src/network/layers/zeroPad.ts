/** Zeros around the image, as many as wanted on each side; `conv2d` pads both sides alike by itself. */
import type { Value } from "../../onnx/graph.ts";
import { SheafError } from "../../util/errors.ts";
import type { Activation, LayerRules } from "../rules.ts";

export const zeroPad: LayerRules<"zeroPad"> = {
  arity: [1, 1],
  outputShape(layer, [x]) {
    const { padding } = layer;
    if (padding.length !== 4 || padding.some((n) => !Number.isInteger(n) || n < 0)) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}": padding must be four whole numbers of at least 0 (top, left, bottom, right), got [${padding.join(", ")}].`,
      );
    }
    const [top, left, bottom, right] = padding;
    return { channels: x?.channels ?? 0, height: (x?.height ?? 0) + top + bottom, width: (x?.width ?? 0) + left + right };
  },
  parameters: () => [],
  macs: () => 0,
  workspaceElements: () => 0,
  width: () => "same",
  // Whole rows of width * batch values move at once.
  train(context, layer, [x], output) {
    const b = context.builder;
    const batch = context.batchSize;
    const { value, shape } = x as Activation;
    const [top, left, bottom, right] = layer.padding;
    const rows = b.reshape(value, [shape.channels, shape.height, shape.width * batch]);
    const padded = b.op("Pad", [rows, b.ints([0, top, left * batch, 0, bottom, right * batch])], {}, "padded");
    return {
      output: { value: b.reshape(padded, [output.channels, output.height * output.width, batch]), shape: output },
      backward(gradient) {
        const around = b.reshape(gradient, [output.channels, output.height, output.width * batch]);
        const ends = [top + shape.height, (left + shape.width) * batch];
        const inner = b.op("Slice", [around, b.ints([top, left * batch]), b.ints(ends), b.ints([1, 2])], {}, "inner");
        return { inputs: [b.reshape(inner, value.shape)], parameters: {} };
      },
    };
  },
  deploy(context, layer, [x]) {
    const [top, left, bottom, right] = layer.padding;
    const b = context.builder;
    return b.op("Pad", [x as Value, b.ints([0, 0, top, left, 0, 0, bottom, right])], {}, layer.name);
  },
};
