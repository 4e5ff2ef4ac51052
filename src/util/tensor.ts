/** Dense tensors as plain data: what crosses from files to graphs to sessions. */
import { SheafError } from "./errors.ts";

/** Storage type of each dtype. The names are NumPy's; `onnx/write.ts` maps them to ONNX's numbers. */
export interface DTypeData {
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  readonly int32: Int32Array;
  readonly int64: BigInt64Array;
  readonly uint8: Uint8Array;
  readonly bool: Uint8Array;
}
export type DType = keyof DTypeData;
export type FloatDType = "float32" | "float64";

export type Shape = readonly number[];

/** A dense row-major array. `data.length` is the product of `shape`. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly data: DTypeData[D];
}

/** Bytes of one element. */
export const bytesPerElement: { readonly [D in DType]: number } = {
  float32: 4,
  float64: 8,
  int32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
};

const constructors: { readonly [D in DType]: new (length: number) => DTypeData[D] } = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const extent of shape) size *= extent;
  return size;
}

/** A tensor over existing data. Throws `internal` when the length does not match the shape. */
export function tensor<D extends DType>(dtype: D, shape: Shape, data: DTypeData[D]): Tensor<D> {
  if (data.length !== sizeOf(shape)) {
    throw new SheafError("internal", `A ${dtype} tensor of shape [${shape.join(", ")}] needs ${sizeOf(shape)} values, got ${data.length}.`);
  }
  return { dtype, shape, data };
}

/** A tensor of zeros. */
export function zeros<D extends DType>(dtype: D, shape: Shape): Tensor<D> {
  return { dtype, shape, data: new constructors[dtype](sizeOf(shape)) };
}

/** A float tensor from plain numbers. */
export function floats<D extends FloatDType>(dtype: D, shape: Shape, values: ArrayLike<number>): Tensor<D> {
  const result = zeros(dtype, shape);
  if (values.length !== result.data.length) {
    throw new SheafError("internal", `A tensor of shape [${shape.join(", ")}] needs ${result.data.length} values, got ${values.length}.`);
  }
  (result.data as Float64Array).set(values);
  return result;
}

/** An int64 tensor from plain integers. */
export function integers(shape: Shape, values: readonly number[]): Tensor<"int64"> {
  return tensor("int64", shape, BigInt64Array.from(values, BigInt));
}

/** Whether two shapes are the same. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, i) => extent === b[i]);
}
