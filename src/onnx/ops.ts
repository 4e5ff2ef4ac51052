/**
 * The standard ONNX operators that Sheaf writes, and what each one's outputs look like.
 * One row per operator; `verify.ts` holds every graph against this table. No operator outside ONNX's default domain appears here.
 */
import { SheafError } from "../util/errors.ts";
import { type DType, type Shape, sizeOf, type Tensor } from "../util/tensor.ts";
import type { Attribute, Value } from "./graph.ts";

export type OpType =
  | "Abs"
  | "Exp"
  | "Floor"
  | "HardSwish"
  | "Identity"
  | "LeakyRelu"
  | "Log"
  | "Neg"
  | "Not"
  | "Reciprocal"
  | "Relu"
  | "Sigmoid"
  | "Sign"
  | "Sqrt"
  | "Cast"
  | "Clip"
  | "Add"
  | "BitwiseXor"
  | "Div"
  | "Mod"
  | "Mul"
  | "Pow"
  | "Sub"
  | "Max"
  | "Min"
  | "Sum"
  | "And"
  | "Equal"
  | "Greater"
  | "GreaterOrEqual"
  | "Less"
  | "Where"
  | "ReduceMax"
  | "ReduceMean"
  | "ReduceSum"
  | "ReduceSumSquare"
  | "ArgMax"
  | "Softmax"
  | "LogSoftmax"
  | "Concat"
  | "Expand"
  | "Flatten"
  | "Gather"
  | "Pad"
  | "Reshape"
  | "Slice"
  | "Split"
  | "Transpose"
  | "Gemm"
  | "MatMul"
  | "AveragePool"
  | "MaxPool"
  | "BatchNormalization"
  | "InstanceNormalization"
  | "Conv"
  | "GlobalAveragePool";

/** One use of an operator, as shape inference sees it. `constant(i)` is input i's value when it is an initializer. */
export interface OpCall {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly outputCount: number;
  constant(index: number): Tensor | undefined;
}

type Inferred = Pick<Value, "dtype" | "shape">;

export interface OpRule {
  /** Least and greatest number of inputs. */
  readonly arity: readonly [number, number];
  infer(call: OpCall): readonly Inferred[];
}

function fail(call: OpCall, text: string): never {
  const shapes = call.inputs.map((v) => `${v.name}: ${v.dtype}[${v.shape.join(", ")}]`).join(", ");
  throw new SheafError("internal", `${call.op} "${call.name}": ${text} (inputs ${shapes}).`);
}

const input = (call: OpCall, i: number): Value => call.inputs[i] ?? fail(call, `input ${i} is missing`);

/** NumPy broadcasting of any number of shapes. */
export function broadcastShapes(...shapes: readonly Shape[]): Shape | undefined {
  const rank = Math.max(...shapes.map((s) => s.length));
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    let extent = 1;
    for (const shape of shapes) {
      const e = shape[axis - rank + shape.length] ?? 1;
      if (e === 1) continue;
      if (extent !== 1 && extent !== e) return undefined;
      extent = e;
    }
    result.push(extent);
  }
  return result;
}

const unary: OpRule = { arity: [1, 1], infer: (c) => [input(c, 0)] };

function elementwise(arity: readonly [number, number], dtype?: DType): OpRule {
  return {
    arity,
    infer: (c) => {
      const shape = broadcastShapes(...c.inputs.map((v) => v.shape)) ?? fail(c, "shapes do not broadcast");
      const first = input(c, 0).dtype;
      if (c.inputs.some((v) => v.dtype !== first)) fail(c, "dtypes differ");
      return [{ dtype: dtype ?? first, shape }];
    },
  };
}

const binary = elementwise([2, 2]);
const comparison = elementwise([2, 2], "bool");
const variadic = elementwise([1, 2 ** 20]);

/** Integers of a constant input; `undefined` when the input is absent. */
function constantInts(c: OpCall, index: number): number[] | undefined {
  if (index >= c.inputs.length) return undefined;
  const value = c.constant(index) ?? fail(c, `input ${index} must be constant`);
  return Array.from(value.data as ArrayLike<number | bigint>, Number);
}

/** An integer attribute with its default. */
export function intAttribute(attributes: Readonly<Record<string, Attribute>>, key: string, fallback: number): number {
  const value = attributes[key];
  return typeof value === "number" ? value : fallback;
}

/** An integer-list attribute with its default. */
export function intsAttribute(
  attributes: Readonly<Record<string, Attribute>>,
  key: string,
  fallback: readonly number[],
): readonly number[] {
  const value = attributes[key];
  return Array.isArray(value) ? (value as readonly number[]) : fallback;
}

const normalizeAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const reduce: OpRule = {
  arity: [1, 2],
  infer: (c) => {
    const { dtype, shape } = input(c, 0);
    const axes = (constantInts(c, 1) ?? shape.map((_, i) => i)).map((a) => normalizeAxis(a, shape.length));
    const keep = intAttribute(c.attributes, "keepdims", 1) === 1;
    const out = shape.map((extent, i) => (axes.includes(i) ? 1 : extent));
    return [{ dtype, shape: keep ? out : out.filter((_, i) => !axes.includes(i)) }];
  },
};

/** Output extent of a sliding window; `ceil` as ONNX's ceil_mode is not used by Sheaf. */
export function windowExtent(extent: number, kernel: number, stride: number, padding: number, dilation: number): number {
  return Math.floor((extent + padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

function windowed(c: OpCall, channels: number, kernel: readonly number[]): Inferred {
  const { dtype, shape } = input(c, 0);
  const strides = intsAttribute(c.attributes, "strides", [1, 1]);
  const pads = intsAttribute(c.attributes, "pads", [0, 0, 0, 0]);
  const dilations = intsAttribute(c.attributes, "dilations", [1, 1]);
  const spatial = [0, 1].map((i) =>
    windowExtent(shape[i + 2] ?? 0, kernel[i] ?? 1, strides[i] ?? 1, (pads[i] ?? 0) + (pads[i + 2] ?? 0), dilations[i] ?? 1),
  );
  return { dtype, shape: [shape[0] ?? 0, channels, ...spatial] };
}

const pool: OpRule = {
  arity: [1, 1],
  infer: (c) => [windowed(c, input(c, 0).shape[1] ?? 0, intsAttribute(c.attributes, "kernel_shape", [1, 1]))],
};

const normalization = (inputs: number): OpRule => ({ arity: [inputs, inputs], infer: (c) => [input(c, 0)] });

/** ONNX's number of each dtype (TensorProto.DataType). */
export const onnxDType: { readonly [D in DType]: number } = { float32: 1, float64: 11, int32: 6, int64: 7, uint8: 2, bool: 9 };

/** The dtype of one of ONNX's numbers; undefined where Sheaf does not use it. */
export function dtypeOfOnnx(number: number): DType | undefined {
  return (Object.keys(onnxDType) as DType[]).find((dtype) => onnxDType[dtype] === number);
}

/** Shape inference by operator. */
export const opRules: { readonly [O in OpType]: OpRule } = {
  // Elementwise, one input.
  Abs: unary,
  Exp: unary,
  Floor: unary,
  Identity: unary,
  Log: unary,
  HardSwish: unary,
  LeakyRelu: unary,
  Neg: unary,
  Not: unary,
  Reciprocal: unary,
  Relu: unary,
  Sigmoid: unary,
  Sign: unary,
  Sqrt: unary,
  Cast: {
    arity: [1, 1],
    infer: (c) => [
      { dtype: dtypeOfOnnx(intAttribute(c.attributes, "to", 0)) ?? fail(c, "unknown target dtype"), shape: input(c, 0).shape },
    ],
  },
  Clip: { arity: [1, 3], infer: (c) => [input(c, 0)] },

  // Elementwise, several inputs, NumPy broadcasting.
  Add: binary,
  BitwiseXor: binary,
  Div: binary,
  Mod: binary,
  Mul: binary,
  Pow: binary,
  Sub: binary,
  Max: variadic,
  Min: variadic,
  Sum: variadic,
  And: comparison,
  Equal: comparison,
  Greater: comparison,
  GreaterOrEqual: comparison,
  Less: comparison,
  Where: {
    arity: [3, 3],
    infer: (c) => [
      { dtype: input(c, 1).dtype, shape: broadcastShapes(...c.inputs.map((v) => v.shape)) ?? fail(c, "shapes do not broadcast") },
    ],
  },

  // Reductions.
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  ArgMax: {
    arity: [1, 1],
    infer: (c) => {
      const { shape } = input(c, 0);
      const axis = normalizeAxis(intAttribute(c.attributes, "axis", 0), shape.length);
      const keep = intAttribute(c.attributes, "keepdims", 1) === 1;
      return [{ dtype: "int64", shape: keep ? shape.map((e, i) => (i === axis ? 1 : e)) : shape.filter((_, i) => i !== axis) }];
    },
  },
  Softmax: unary,
  LogSoftmax: unary,

  // Movement.
  Concat: {
    arity: [1, 2 ** 20],
    infer: (c) => {
      const first = input(c, 0);
      const axis = normalizeAxis(intAttribute(c.attributes, "axis", 0), first.shape.length);
      const total = c.inputs.reduce((sum, v) => sum + (v.shape[axis] ?? 0), 0);
      if (c.inputs.some((v) => v.dtype !== first.dtype || v.shape.some((e, i) => i !== axis && e !== first.shape[i]))) {
        fail(c, `inputs differ beside axis ${axis}`);
      }
      return [{ dtype: first.dtype, shape: first.shape.map((e, i) => (i === axis ? total : e)) }];
    },
  },
  Expand: {
    arity: [2, 2],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      return [{ dtype, shape: broadcastShapes(shape, constantInts(c, 1) ?? []) ?? fail(c, "shapes do not broadcast") }];
    },
  },
  Flatten: {
    arity: [1, 1],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      const axis = intAttribute(c.attributes, "axis", 1);
      return [{ dtype, shape: [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))] }];
    },
  },
  Gather: {
    arity: [2, 2],
    infer: (c) => {
      const data = input(c, 0);
      const axis = normalizeAxis(intAttribute(c.attributes, "axis", 0), data.shape.length);
      return [{ dtype: data.dtype, shape: [...data.shape.slice(0, axis), ...input(c, 1).shape, ...data.shape.slice(axis + 1)] }];
    },
  },
  Pad: {
    arity: [2, 4],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      const pads = constantInts(c, 1) ?? [];
      return [{ dtype, shape: shape.map((e, i) => e + (pads[i] ?? 0) + (pads[i + shape.length] ?? 0)) }];
    },
  },
  Reshape: {
    arity: [2, 2],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      const target = constantInts(c, 1) ?? [];
      const known = target.reduce((p, e) => (e > 0 ? p * e : p), 1);
      const out = target.map((e) => (e === -1 ? sizeOf(shape) / known : e));
      if (sizeOf(out) !== sizeOf(shape)) fail(c, `cannot reshape to [${target.join(", ")}]`);
      return [{ dtype, shape: out }];
    },
  },
  Slice: {
    arity: [3, 5],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      const starts = constantInts(c, 1) ?? [];
      const ends = constantInts(c, 2) ?? [];
      const axes = constantInts(c, 3) ?? starts.map((_, i) => i);
      const steps = constantInts(c, 4) ?? starts.map(() => 1);
      const out = [...shape];
      axes.forEach((a, i) => {
        const axis = normalizeAxis(a, shape.length);
        const extent = shape[axis] ?? 0;
        const clamp = (e: number): number => Math.min(Math.max(e < 0 ? e + extent : e, 0), extent);
        out[axis] = Math.ceil((clamp(ends[i] ?? 0) - clamp(starts[i] ?? 0)) / (steps[i] ?? 1));
      });
      return [{ dtype, shape: out }];
    },
  },
  Split: {
    arity: [2, 2],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      const axis = normalizeAxis(intAttribute(c.attributes, "axis", 0), shape.length);
      return (constantInts(c, 1) ?? []).map((size) => ({ dtype, shape: shape.map((e, i) => (i === axis ? size : e)) }));
    },
  },
  Transpose: {
    arity: [1, 1],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      const perm = intsAttribute(
        c.attributes,
        "perm",
        shape.map((_, i) => shape.length - 1 - i),
      );
      return [{ dtype, shape: perm.map((axis) => shape[axis] ?? fail(c, `no axis ${axis}`)) }];
    },
  },

  // Products.
  Gemm: {
    arity: [2, 3],
    infer: (c) => {
      const [a, b] = [input(c, 0), input(c, 1)];
      const [ta, tb] = [intAttribute(c.attributes, "transA", 0), intAttribute(c.attributes, "transB", 0)];
      if (a.shape[ta ? 0 : 1] !== b.shape[tb ? 1 : 0]) fail(c, "inner extents differ");
      return [{ dtype: a.dtype, shape: [a.shape[ta ? 1 : 0] ?? 0, b.shape[tb ? 0 : 1] ?? 0] }];
    },
  },
  MatMul: {
    arity: [2, 2],
    infer: (c) => {
      const [a, b] = [input(c, 0), input(c, 1)];
      if (a.shape.length < 2 || b.shape.length < 2) fail(c, "needs matrices");
      if (a.shape.at(-1) !== b.shape.at(-2)) fail(c, "inner extents differ");
      const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)) ?? fail(c, "batch extents do not broadcast");
      return [{ dtype: a.dtype, shape: [...batch, a.shape.at(-2) ?? 0, b.shape.at(-1) ?? 0] }];
    },
  },

  // Layers of deployable models, NCHW.
  AveragePool: pool,
  MaxPool: pool,
  BatchNormalization: normalization(5),
  InstanceNormalization: normalization(3),
  Conv: {
    arity: [2, 3],
    infer: (c) => {
      const weight = input(c, 1).shape;
      if ((weight[1] ?? 0) * intAttribute(c.attributes, "group", 1) !== input(c, 0).shape[1]) fail(c, "channels differ");
      return [windowed(c, weight[0] ?? 0, weight.slice(2))];
    },
  },
  GlobalAveragePool: {
    arity: [1, 1],
    infer: (c) => {
      const { dtype, shape } = input(c, 0);
      return [{ dtype, shape: [...shape.slice(0, 2), ...shape.slice(2).map(() => 1)] }];
    },
  },
};
