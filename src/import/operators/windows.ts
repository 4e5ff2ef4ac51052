/** Convolutions, pools and padding: what slides a window over the image. */
import type { LayerAttributes, Pair } from "../../network/network.ts";
import { windowExtent } from "../../onnx/ops.ts";
import type { Draft } from "../draft.ts";
import type { NodeReader } from "../nodeReader.ts";
import { type Activation, numbersOf, pixelAxes } from "../values.ts";
import { type Family, image, type Operator, weights } from "./operator.ts";

/** Zeros on each side, as `zeroPad` has them. */
type Sides = readonly [top: number, left: number, bottom: number, right: number];

interface Window {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly dilation: Pair;
  readonly sides: Sides;
  /** Further rows and columns at the end that `ceil_mode` makes windows reach over. */
  readonly overhang: Pair;
}

function pairOf(node: NodeReader, name: string, fallback: Pair): Pair {
  const values = node.ints(name) ?? fallback;
  return values.length === 2
    ? [values[0] as number, values[1] as number]
    : node.fail(`has ${values.length} ${name}; Sheaf reads two, for images`);
}

/** Padding by `auto_pad`: the output is as large as the input over the stride, an odd zero goes to one end. */
function samePadding(extent: number, kernel: number, stride: number, dilation: number, lower: boolean): readonly [number, number] {
  const total = Math.max((Math.ceil(extent / stride) - 1) * stride + dilation * (kernel - 1) + 1 - extent, 0);
  const less = Math.floor(total / 2);
  return lower ? [total - less, less] : [less, total - less];
}

function readWindow(node: NodeReader, x: Activation, kernel: Pair): Window {
  const stride = pairOf(node, "strides", [1, 1]);
  const dilation = pairOf(node, "dilations", [1, 1]);
  const extents: Pair = [x.feature.height, x.feature.width];
  const auto = node.text("auto_pad", "NOTSET");
  const explicit = node.ints("pads") ?? [0, 0, 0, 0];
  const ends = ([0, 1] as const).map((i): readonly [number, number] => {
    if (auto === "NOTSET" || auto === "") return [explicit[i] ?? 0, explicit[i + 2] ?? 0];
    if (auto === "VALID") return [0, 0];
    if (auto === "SAME_UPPER" || auto === "SAME_LOWER")
      return samePadding(extents[i], kernel[i], stride[i], dilation[i], auto === "SAME_LOWER");
    return node.fail(`has auto_pad "${auto}", which ONNX does not know`);
  });
  const [[top, bottom], [left, right]] = ends as [readonly [number, number], readonly [number, number]];
  if (Math.min(top, left, bottom, right) < 0) node.fail("crops its input by negative padding");
  const overhang = ([0, 1] as const).map((i) => {
    if (node.int("ceil_mode", 0) === 0) return 0;
    const [start, end] = ends[i] as readonly [number, number];
    const reach = extents[i] + start + end;
    const inner = dilation[i] * (kernel[i] - 1) + 1;
    const whole = windowExtent(extents[i], kernel[i], stride[i], start + end, dilation[i]);
    const rounded = Math.ceil((reach - inner) / stride[i]) + 1;
    // A window that would start behind the image and its leading padding is dropped.
    const count = (rounded - 1) * stride[i] >= extents[i] + start ? rounded - 1 : rounded;
    return count > whole ? (count - 1) * stride[i] + inner - reach : 0;
  });
  return { kernel, stride, dilation, sides: [top, left, bottom, right], overhang: overhang as unknown as Pair };
}

const isEven = ([top, left, bottom, right]: Sides): boolean => top === bottom && left === right;

function padded(node: NodeReader, draft: Draft, x: Activation, sides: Sides): Activation {
  return sides.some((n) => n > 0) ? draft.emit(node.node, "zeroPad", { padding: sides }, [x], { nonNegative: x.nonNegative }) : x;
}

const conv: Operator = (node, draft) => {
  const weight = weights(node, 1);
  if (weight.shape.length !== 4) node.fail(`has weights of ${weight.shape.length} axes; Sheaf reads convolutions over images, with four`);
  const [outChannels = 0, , height = 0, width = 0] = weight.shape;
  let x = image(node);
  const window = readWindow(node, x, [height, width]);
  let sides = window.sides;
  const before = draft.soleProducer(x);
  if (before?.type === "zeroPad") {
    // Zeros put around the image for this convolution alone become its own padding where both sides are alike.
    const sum = sides.map((n, i) => n + (before.padding[i] as number)) as unknown as Sides;
    if (isEven(sum)) {
      const [top, left, bottom, right] = before.padding;
      draft.withdraw(before);
      const feature = { ...x.feature, height: x.feature.height - top - bottom, width: x.feature.width - left - right };
      x = {
        ...x,
        layer: before.inputs[0] as string,
        feature,
        shape: [x.shape[0] as number, feature.channels, feature.height, feature.width],
      };
      sides = sum;
    }
  }
  const own = isEven(sides);
  const input = own ? x : padded(node, draft, x, sides);
  const groups = node.int("group", 1);
  const expected = (weight.shape[1] as number) * groups;
  if (expected !== x.feature.channels) node.fail(`has weights for ${expected} channels, but reads ${x.feature.channels}`);
  const bias = node.inputs[2] === undefined ? undefined : weights(node, 2);
  const attributes = {
    outChannels,
    kernel: window.kernel,
    stride: window.stride,
    padding: own ? ([sides[0], sides[1]] as const) : ([0, 0] as const),
    dilation: window.dilation,
    groups,
    bias: bias !== undefined,
  };
  return draft.emit(node.node, "conv2d", attributes, [input], {
    parameters: bias ? { weight, bias } : { weight },
    weightName: node.node.inputs[1],
  });
};

function readPool(node: NodeReader, x: Activation): Window {
  const kernel = node.ints("kernel_shape") ?? node.fail("does not say how large its window is");
  if (kernel.length !== 2) node.fail(`has a window of ${kernel.length} axes; Sheaf reads pools over images, with two`);
  const window = readWindow(node, x, [kernel[0] as number, kernel[1] as number]);
  if (window.dilation.some((d) => d !== 1)) node.fail(`has dilations [${window.dilation.join(", ")}]; Sheaf's pools have none`);
  return window;
}

const maxPool: Operator = (node, draft) => {
  const x = image(node);
  const { kernel, stride, sides, overhang } = readPool(node, x);
  const [top, left, bottom, right] = sides;
  const reach: Sides = [top, left, bottom + overhang[0], right + overhang[1]];
  if (isEven(reach) && top < kernel[0] && left < kernel[1]) {
    return draft.emit(node.node, "maxPool", { kernel, stride, padding: [top, left] }, [x], { nonNegative: x.nonNegative });
  }
  // Padding never wins a maximum; zeros never win one over values that are not negative, if every window has such a value.
  if (!x.nonNegative) {
    node.fail(
      `pads unevenly (${reach.join(", ")}: top, left, bottom, right${overhang.some((n) => n > 0) ? ", ceil_mode included" : ""}), which Sheaf can do only behind a ReLU or the like`,
    );
  }
  const input = padded(node, draft, x, reach);
  return draft.emit(node.node, "maxPool", { kernel, stride, padding: [0, 0] }, [input], { nonNegative: true });
};

const averagePool: Operator = (node, draft) => {
  const x = image(node);
  const { kernel, stride, sides, overhang } = readPool(node, x);
  const countPadding = node.int("count_include_pad", 0) === 1;
  if (overhang.some((n) => n > 0)) node.fail("has windows that reach over the end (ceil_mode), which Sheaf's averages cannot");
  if (isEven(sides)) {
    return draft.emit(node.node, "avgPool", { kernel, stride, padding: [sides[0], sides[1]], countPadding }, [x], {
      nonNegative: x.nonNegative,
    });
  }
  if (!countPadding)
    node.fail(`pads unevenly (${sides.join(", ")}: top, left, bottom, right) without counting the padding (count_include_pad)`);
  const input = padded(node, draft, x, sides);
  return draft.emit(node.node, "avgPool", { kernel, stride, padding: [0, 0], countPadding }, [input], { nonNegative: x.nonNegative });
};

/** The whole image as one window. */
const globalMaxPool: Operator = (node, draft) => {
  const x = image(node);
  const kernel: Pair = [x.feature.height, x.feature.width];
  const attributes: LayerAttributes["maxPool"] = { kernel, stride: kernel, padding: [0, 0] };
  return draft.emit(node.node, "maxPool", attributes, [x], { nonNegative: x.nonNegative });
};

const globalAveragePool: Operator = (node, draft) => {
  const x = image(node);
  return draft.emit(node.node, "globalAvgPool", {}, [x], { nonNegative: x.nonNegative });
};

/** A mean over exactly the pixels is a global average. */
const reduceMean: Operator = (node, draft) => {
  const x = node.activation(0);
  const rank = x.shape.length;
  const asked = node.axes(1);
  const axes = (asked ?? []).map((a) => (a < 0 ? a + rank : a)).sort();
  const pixels = pixelAxes(x);
  if (asked === undefined || axes.join() !== pixels.join()) {
    node.fail(
      `averages over axes [${(asked ?? x.shape.map((_, i) => i)).join(", ")}] of [${x.shape.join(", ")}]; Sheaf reads means over the pixels alone`,
    );
  }
  const keep = node.int("keepdims", 1) === 1;
  const shape = keep ? x.shape.map((e, i) => (pixels.includes(i) ? 1 : e)) : [x.shape[0] as number, x.feature.channels];
  const output = draft.emit(node.node, "globalAvgPool", {}, [x], { nonNegative: x.nonNegative, shape });
  return { ...output, channelAxis: keep ? x.channelAxis : 1 };
};

const pad: Operator = (node, draft) => {
  const x = node.activation(0);
  const mode = node.text("mode", "constant");
  if (mode !== "constant") node.fail(`pads by "${mode}"; Sheaf pads with zeros`);
  const value = node.optionalConstant(2);
  const filler = value ? (numbersOf(value)[0] ?? 0) : node.float("value", 0);
  if (filler !== 0) node.fail(`pads with ${filler}; Sheaf pads with zeros`);
  const rank = x.shape.length;
  const amounts = node.ints("pads") ?? node.constantInts(1);
  const axes = node.optionalInts(3)?.map((a) => (a < 0 ? a + rank : a)) ?? x.shape.map((_, i) => i);
  const pixels = pixelAxes(x);
  const sides = [0, 0, 0, 0] as [number, number, number, number];
  axes.forEach((axis, i) => {
    const [start, end] = [amounts[i] as number, amounts[i + axes.length] as number];
    if (start === 0 && end === 0) return;
    const along = pixels.indexOf(axis);
    if (along < 0 || start < 0 || end < 0) node.fail(`pads [${amounts.join(", ")}]; Sheaf adds zeros around the pixels alone`);
    sides[along] = start;
    sides[along + 2] = end;
  });
  return padded(node, draft, x, sides);
};

export type WindowOperator = "Conv" | "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" | "ReduceMean" | "Pad";

export const windowOperators: Family<WindowOperator> = {
  Conv: conv,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalMaxPool: globalMaxPool,
  GlobalAveragePool: globalAveragePool,
  ReduceMean: reduceMean,
  Pad: pad,
};
