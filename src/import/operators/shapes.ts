/** What changes how an activation lies: flattening, axes of extent 1, channels first or last. */
import { inputName } from "../../network/network.ts";
import { type Shape, sameShape, sizeOf } from "../../util/tensor.ts";
import type { Draft } from "../draft.ts";
import { reshapeTarget, shapeTensor, squeezedShape, unsqueezedShape } from "../fold.ts";
import type { NodeReader } from "../nodeReader.ts";
import { type Activation, describeShape, isVector } from "../values.ts";
import type { Family, Operator } from "./operator.ts";

/** The one axis that holds a vector of this length, when all others have extent 1. */
function vectorAxis(shape: Shape, length: number): number | undefined {
  const axis = length === 1 ? 1 : shape.indexOf(length, 1);
  return axis >= 1 && axis < shape.length && sizeOf(shape.slice(1)) === length ? axis : undefined;
}

/** The same values under another shape: nothing, a flatten layer, or (right at the input) another image. */
function view(node: NodeReader, draft: Draft, x: Activation, shape: Shape): Activation {
  if (sameShape(shape, x.shape)) return x;
  const cannot = (): never => node.fail(`turns ${describeShape(x.shape)} into ${describeShape(shape)}, which is no flattening to a vector`);
  if (shape[0] !== x.shape[0] || sizeOf(shape) !== sizeOf(x.shape)) return cannot();
  const { feature } = x;
  const untouched = x.layer === inputName && !x.shared && draft.layers.length === 0 && x.channelAxis === 1;
  if (untouched && (shape.length === 4 || x.shape.length === 3)) {
    const [, channels = 1, height = 1, width = 1] = shape;
    draft.reshapeInput({ channels, height, width });
    return { ...x, feature: { channels, height, width }, shape, channelAxis: 1 };
  }
  const length = feature.channels * feature.height * feature.width;
  const axis = vectorAxis(shape, length);
  if (axis === undefined) return cannot();
  if (isVector(feature)) return { ...x, shape, channelAxis: axis };
  if (x.shape.length !== 4) return cannot();
  const flat = draft.emit(node.node, "flatten", {}, [x], { nonNegative: x.nonNegative, shape });
  return { ...flat, channelAxis: axis, ...(x.channelAxis === 1 ? {} : { flattenedFrom: feature }) };
}

const flatten: Operator = (node, draft) => {
  const x = node.activation(0);
  const asked = node.int("axis", 1);
  const cut = asked < 0 ? asked + x.shape.length : asked;
  return view(node, draft, x, [sizeOf(x.shape.slice(0, cut)), sizeOf(x.shape.slice(cut))]);
};

const reshape: Operator = (node, draft) => {
  const x = node.activation(0);
  return view(node, draft, x, reshapeTarget(node, x.shape, node.ints("shape") ?? node.constantInts(1)));
};

/** Between channels first and channels last; anything goes where there is one pixel. */
const transpose: Operator = (node) => {
  const x = node.activation(0);
  const perm = node.ints("perm") ?? x.shape.map((_, i) => x.shape.length - 1 - i);
  const shape = perm.map((axis) => x.shape[axis] as number);
  const channelAxis = perm.indexOf(x.channelAxis);
  const rest = perm.filter((axis) => axis !== x.channelAxis);
  const keepsPixels = rest.every((axis, i) => i === 0 || axis > (rest[i - 1] as number));
  if (perm[0] !== 0 || !(keepsPixels || isVector(x.feature))) {
    return node.fail(`turns ${describeShape(x.shape)} round by [${perm.join(", ")}]; Sheaf reads moves of the channels alone`);
  }
  if (!isVector(x.feature) && channelAxis !== 1 && channelAxis !== 3) return node.fail("puts the channels between the pixels' axes");
  return { ...x, shape, channelAxis };
};

export type ShapeOperator = "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Shape" | "Constant";

export const shapeOperators: Family<ShapeOperator> = {
  Flatten: flatten,
  Reshape: reshape,
  Squeeze: (node, draft) => view(node, draft, node.activation(0), squeezedShape(node, node.activation(0).shape)),
  Unsqueeze: (node, draft) => view(node, draft, node.activation(0), unsqueezedShape(node, node.activation(0).shape)),
  Transpose: transpose,
  Shape: (node) => ({ kind: "constant", tensor: shapeTensor(node, node.activation(0).shape) }),
  Constant: (node) => ({ kind: "constant", tensor: constantOf(node) }),
};

function constantOf(node: NodeReader) {
  const { attributes } = node.node;
  const tensor = node.tensor("value");
  if (tensor) return tensor;
  for (const value of Object.values(attributes)) {
    if (value.type === "int") return { dtype: "int64", shape: [], data: BigInt64Array.of(BigInt(value.value)) } as const;
    if (value.type === "ints")
      return { dtype: "int64", shape: [value.value.length], data: BigInt64Array.from(value.value, BigInt) } as const;
    if (value.type === "float") return { dtype: "float32", shape: [], data: Float32Array.of(value.value) } as const;
    if (value.type === "floats") return { dtype: "float32", shape: [value.value.length], data: Float32Array.from(value.value) } as const;
  }
  return node.fail("holds a value of a type that Sheaf does not use");
}
