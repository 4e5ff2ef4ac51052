/**
 * Arithmetic on constants: what exporters leave in the graph of computing shapes (Shape, Gather, Concat, ...) and of preparing weights.
 * One row per operator, applied only where every input is constant.
 */
import { broadcastShapes, dtypeOfOnnx } from "../onnx/ops.ts";
import { type DType, type Shape, sizeOf, type Tensor, zeros } from "../util/tensor.ts";
import type { NodeReader } from "./nodeReader.ts";
import { numbersOf } from "./values.ts";

type Fold = (node: NodeReader, inputs: readonly Tensor[]) => Tensor;

const isInteger = (dtype: DType): boolean => dtype === "int32" || dtype === "int64" || dtype === "uint8";
const strides = (shape: Shape): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)));
const first = (inputs: readonly Tensor[]): Tensor => inputs[0] as Tensor;

function axisOf(node: NodeReader, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  return result >= 0 && result < rank ? result : node.fail(`has axis ${axis}, but its input has ${rank} axes`);
}

/** Writes a plain number as the tensor's type has it. */
function put(target: Tensor, at: number, value: number): void {
  if (target.dtype === "int64") (target.data as BigInt64Array)[at] = BigInt(Math.trunc(value));
  else (target.data as Float64Array)[at] = value;
}

/** A tensor whose value i is the source's value `from(coordinates of i)`. */
function moved(source: Tensor, shape: Shape, from: (at: readonly number[]) => number): Tensor {
  const result = zeros(source.dtype, shape);
  const at = shape.map(() => 0);
  for (let i = 0; i < result.data.length; i++) {
    (result.data as Float64Array)[i] = source.data[from(at)] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] as number) + 1;
      if ((at[axis] as number) < (shape[axis] as number)) break;
      at[axis] = 0;
    }
  }
  return result;
}

const reshaped = (value: Tensor, shape: Shape): Tensor => ({ ...value, shape });

function binary(compute: (a: number, b: number, integer: boolean) => number): Fold {
  return (node, [a, b]) => {
    if (!a || !b) return node.fail("needs two inputs");
    const shape = broadcastShapes(a.shape, b.shape) ?? node.fail("has inputs whose shapes do not go together");
    const result = zeros(a.dtype, shape);
    const index = (t: Tensor): ((i: number) => number) => {
      const own = strides(t.shape);
      const all = strides(shape);
      return (i) => {
        let at = 0;
        t.shape.forEach((extent, k) => {
          const axis = k + shape.length - t.shape.length;
          const coordinate = Math.floor(i / (all[axis] as number)) % (shape[axis] as number);
          if (extent > 1) at += coordinate * (own[k] as number);
        });
        return at;
      };
    };
    const [inA, inB] = [index(a), index(b)];
    for (let i = 0; i < result.data.length; i++)
      put(result, i, compute(Number(a.data[inA(i)]), Number(b.data[inB(i)]), isInteger(a.dtype)));
    return result;
  };
}

function unary(compute: (a: number) => number): Fold {
  return (_node, inputs) => {
    const source = first(inputs);
    const result = zeros(source.dtype, source.shape);
    for (let i = 0; i < result.data.length; i++) put(result, i, compute(Number(source.data[i])));
    return result;
  };
}

/** Shape that a Reshape asks for: 0 keeps an extent, -1 takes what is left. Also used on activations. */
export function reshapeTarget(node: NodeReader, shape: Shape, asked: readonly number[]): Shape {
  const keepsZeros = node.int("allowzero", 0) === 1;
  const target = asked.map((e, i) => (e === 0 && !keepsZeros ? (shape[i] ?? 0) : e));
  const rest = sizeOf(shape) / target.reduce((p, e) => (e === -1 ? p : p * e), 1);
  const result = target.map((e) => (e === -1 ? rest : e));
  if (sizeOf(result) !== sizeOf(shape) || result.some((e) => !Number.isInteger(e))) {
    node.fail(`cannot make [${asked.join(", ")}] of [${shape.join(", ")}]`);
  }
  return result;
}

/** Shape without axes of extent 1; all such axes where none is named. Also used on activations. */
export function squeezedShape(node: NodeReader, shape: Shape): Shape {
  const axes = node.axes(1)?.map((a) => axisOf(node, a, shape.length)) ?? shape.flatMap((e, i) => (e === 1 ? [i] : []));
  if (axes.some((a) => shape[a] !== 1)) node.fail(`squeezes an axis of [${shape.join(", ")}] that is longer than 1`);
  return shape.filter((_, i) => !axes.includes(i));
}

/** Shape with axes of extent 1 put in. Also used on activations. */
export function unsqueezedShape(node: NodeReader, shape: Shape): Shape {
  const named = node.axes(1) ?? node.fail("does not say which axes to put in");
  const rank = shape.length + named.length;
  const axes = named.map((a) => axisOf(node, a, rank));
  const rest = [...shape];
  return Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : (rest.shift() as number)));
}

function concat(node: NodeReader, inputs: readonly Tensor[]): Tensor {
  const head = first(inputs);
  const axis = axisOf(node, node.int("axis", 0), head.shape.length);
  const total = inputs.reduce((sum, t) => sum + (t.shape[axis] ?? 0), 0);
  const result = zeros(
    head.dtype,
    head.shape.map((e, i) => (i === axis ? total : e)),
  );
  const outer = sizeOf(head.shape.slice(0, axis));
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const t of inputs) {
      const run = sizeOf(t.shape.slice(axis));
      for (let i = 0; i < run; i++) (result.data as Float64Array)[at++] = t.data[o * run + i] as number;
    }
  }
  return result;
}

function gather(node: NodeReader, [data, indices]: readonly Tensor[]): Tensor {
  if (!data || !indices) return node.fail("needs two inputs");
  const axis = axisOf(node, node.int("axis", 0), data.shape.length);
  const extent = data.shape[axis] as number;
  const own = strides(data.shape);
  const rank = indices.shape.length;
  const places = numbersOf(indices).map((i) => (i < 0 ? i + extent : i));
  if (places.some((i) => i < 0 || i >= extent)) node.fail(`reads outside an axis of ${extent}`);
  const inner = strides(indices.shape);
  return moved(data, [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)], (at) => {
    let i = 0;
    let place = 0;
    at.forEach((coordinate, k) => {
      if (k < axis) i += coordinate * (own[k] as number);
      else if (k < axis + rank) place += coordinate * (inner[k - axis] as number);
      else i += coordinate * (own[k - rank + 1] as number);
    });
    return i + (places[place] as number) * (own[axis] as number);
  });
}

function slice(node: NodeReader, inputs: readonly Tensor[]): Tensor {
  const data = first(inputs);
  const list = (name: string, index: number): readonly number[] | undefined => node.ints(name) ?? node.optionalInts(index);
  const starts = list("starts", 1) ?? [];
  const ends = list("ends", 2) ?? [];
  const axes = (list("axes", 3) ?? starts.map((_, i) => i)).map((a) => axisOf(node, a, data.shape.length));
  const steps = list("steps", 4) ?? starts.map(() => 1);
  const shape = [...data.shape];
  const from = data.shape.map(() => 0);
  const by = data.shape.map(() => 1);
  axes.forEach((axis, i) => {
    const extent = data.shape[axis] as number;
    const step = steps[i] as number;
    // Backward slices stop before the first value, which is place -1.
    const [low, high] = step > 0 ? [0, extent] : [-1, extent - 1];
    const clamp = (e: number): number => Math.min(Math.max(e < 0 ? e + extent : e, low), high);
    const start = clamp(starts[i] as number);
    from[axis] = start;
    by[axis] = step;
    shape[axis] = Math.max(0, Math.ceil((clamp(ends[i] as number) - start) / step));
  });
  const own = strides(data.shape);
  return moved(data, shape, (at) => at.reduce((sum, c, k) => sum + ((from[k] as number) + c * (by[k] as number)) * (own[k] as number), 0));
}

function transpose(node: NodeReader, inputs: readonly Tensor[]): Tensor {
  const data = first(inputs);
  const perm = node.ints("perm") ?? data.shape.map((_, i) => data.shape.length - 1 - i);
  const own = strides(data.shape);
  return moved(
    data,
    perm.map((axis) => data.shape[axis] ?? 0),
    (at) => at.reduce((sum, c, k) => sum + c * (own[perm[k] as number] as number), 0),
  );
}

function cast(node: NodeReader, inputs: readonly Tensor[]): Tensor {
  const source = first(inputs);
  const dtype = dtypeOfOnnx(node.int("to", 0)) ?? node.fail("casts to a type that Sheaf does not use");
  if (dtype === source.dtype) return source;
  const result = zeros(dtype, source.shape);
  for (let i = 0; i < result.data.length; i++) {
    const value = Number(source.data[i]);
    put(result, i, dtype === "bool" ? Number(value !== 0) : isInteger(dtype) ? Math.trunc(value) : value);
  }
  return result;
}

/** Most values of a constant that is made from a shape alone; the largest layers of usual networks have a tenth of it. */
const largestConstant = 2 ** 30;

/** Operators that are worked out on constants. */
export const folds: Readonly<Record<string, Fold>> = {
  // Arithmetic.
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b, integer) => (integer ? Math.trunc(a / b) : a / b)),
  Neg: unary((a) => -a),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((a) => 1 / a),
  Floor: unary(Math.floor),
  Cast: cast,

  // Movement.
  Identity: (_node, inputs) => first(inputs),
  Concat: concat,
  Gather: gather,
  Slice: slice,
  Transpose: transpose,
  Reshape: (node, inputs) => reshaped(first(inputs), reshapeTarget(node, first(inputs).shape, node.constantInts(1))),
  Flatten: (node, inputs) => {
    const { shape } = first(inputs);
    const axis = node.int("axis", 1);
    const cut = axis < 0 ? axis + shape.length : axis;
    return reshaped(first(inputs), [sizeOf(shape.slice(0, cut)), sizeOf(shape.slice(cut))]);
  },
  Squeeze: (node, inputs) => reshaped(first(inputs), squeezedShape(node, first(inputs).shape)),
  Unsqueeze: (node, inputs) => reshaped(first(inputs), unsqueezedShape(node, first(inputs).shape)),
  Expand: (node, inputs) => {
    const asked = node.constantInts(1);
    if (!(sizeOf(asked) >= 0 && sizeOf(asked) <= largestConstant)) node.fail(`makes a constant of shape [${asked.join(", ")}]`);
    const shape = broadcastShapes(first(inputs).shape, asked) ?? node.fail("has inputs whose shapes do not go together");
    return binary((a) => a)(node, [first(inputs), zeros("float32", shape)]);
  },

  // New constants.
  Shape: (node, inputs) => shapeTensor(node, first(inputs).shape),
  ConstantOfShape: (node, inputs) => {
    const filler = node.tensor("value");
    const shape = numbersOf(first(inputs));
    if (!(sizeOf(shape) >= 0 && sizeOf(shape) <= largestConstant)) node.fail(`makes a constant of shape [${shape.join(", ")}]`);
    const result = zeros(filler?.dtype ?? "float32", shape);
    (result.data as Float64Array).fill((filler?.data[0] ?? 0) as number);
    return result;
  },
};

/** What a Shape node gives. */
export function shapeTensor(node: NodeReader, shape: Shape): Tensor {
  const part = shape.slice(node.int("start", 0), node.int("end", shape.length));
  return { dtype: "int64", shape: [part.length], data: BigInt64Array.from(part, BigInt) };
}
