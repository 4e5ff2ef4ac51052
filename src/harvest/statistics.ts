/**
 * What a device uploads after the statistics pass: sums over its samples, in float64. No sample, label or feature vector leaves the device,
 * and because they are sums, they may be added under secure aggregation. The pass itself is in `statisticsPass.ts`.
 */
import { SheafError } from "../util/errors.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import { type Shape, sameShape, type Tensor, tensor } from "../util/tensor.ts";

/** Sums over samples of a row vector x with a class each. The sum of x itself is the sum of the class sums. */
export interface Moments {
  /** Length of x. */
  readonly width: number;
  /** [width, width]: sum of x x^T; symmetric to the bit. */
  readonly gram: Float64Array;
  /** [width, classes]: sum of x over the samples of each class. */
  readonly sums: Float64Array;
}

/** A device's sums, or the sum of several devices' sums. */
export interface DeviceStatistics {
  readonly classCount: number;
  /** [classes]: number of samples of each class. */
  readonly counts: Float64Array;
  /** Of the branches' concatenated pooled features; what H2 is made of. */
  readonly features: Moments;
  /** Of the branches' concatenated log-probabilities; what H1 is made of. */
  readonly logProbabilities: Moments;
}

/** Which moments a set of statistics holds. */
export const momentKinds = ["features", "logProbabilities"] as const;

/** Statistics of no samples. */
export function emptyStatistics(
  classCount: number,
  widths: { readonly features: number; readonly logProbabilities: number },
): DeviceStatistics {
  const empty = (width: number): Moments => ({ width, gram: new Float64Array(width * width), sums: new Float64Array(width * classCount) });
  return {
    classCount,
    counts: new Float64Array(classCount),
    features: empty(widths.features),
    logProbabilities: empty(widths.logProbabilities),
  };
}

function addArrays(a: Float64Array, b: Float64Array): Float64Array {
  const sum = a.slice();
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (b[i] as number);
  return sum;
}

/**
 * The statistics of both devices' samples together. Commutative to the bit; for the same bytes in every run, add devices in a fixed order.
 * Throws `corrupt` when the two were not computed from the same branches.
 */
export function addStatistics(a: DeviceStatistics, b: DeviceStatistics): DeviceStatistics {
  if (a.classCount !== b.classCount || momentKinds.some((kind) => a[kind].width !== b[kind].width)) {
    const text = (s: DeviceStatistics): string =>
      `${s.features.width} features, ${s.logProbabilities.width} log-probabilities and ${s.classCount} classes`;
    throw new SheafError(
      "corrupt",
      `Statistics of ${text(a)} cannot be added to statistics of ${text(b)}; both must come from the same branches.`,
    );
  }
  const add = (x: Moments, y: Moments): Moments => ({ width: x.width, gram: addArrays(x.gram, y.gram), sums: addArrays(x.sums, y.sums) });
  return {
    classCount: a.classCount,
    counts: addArrays(a.counts, b.counts),
    features: add(a.features, b.features),
    logProbabilities: add(a.logProbabilities, b.logProbabilities),
  };
}

/** Copies the lower triangle (row >= column) over the upper one. */
export function mirrorLower(matrix: Float64Array, width: number): void {
  for (let row = 0; row < width; row++)
    for (let column = 0; column < row; column++) matrix[column * width + row] = matrix[row * width + column] as number;
}

const triangleSize = (width: number): number => (width * (width + 1)) / 2;

function packLower({ gram, width }: Moments): Float64Array<ArrayBuffer> {
  const packed = new Float64Array(triangleSize(width));
  for (let row = 0; row < width; row++) packed.set(gram.subarray(row * width, row * width + row + 1), triangleSize(row));
  return packed;
}

function unpackLower(packed: Float64Array, width: number): Float64Array {
  const gram = new Float64Array(width * width);
  for (let row = 0; row < width; row++) gram.set(packed.subarray(triangleSize(row), triangleSize(row + 1)), row * width);
  mirrorLower(gram, width);
  return gram;
}

/** Bytes of the numbers in one upload of statistics (the triangle of each Gram matrix, float64), without the file's header. */
export function statisticsBytes(widths: { readonly features: number; readonly logProbabilities: number }, classCount: number): number {
  const values = momentKinds.reduce((sum, kind) => sum + triangleSize(widths[kind]) + widths[kind] * classCount, classCount);
  return values * Float64Array.BYTES_PER_ELEMENT;
}

/** Statistics as a safetensors file: of each Gram matrix only the lower triangle, row by row. The same sums give the same bytes. */
export function encodeStatistics(statistics: DeviceStatistics): Uint8Array<ArrayBuffer> {
  const { classCount, counts } = statistics;
  const tensors = new Map<string, Tensor>([["counts", tensor("float64", [classCount], counts)]]);
  for (const kind of momentKinds) {
    const moments = statistics[kind];
    tensors.set(`${kind}.gram`, tensor("float64", [triangleSize(moments.width)], packLower(moments)));
    tensors.set(`${kind}.sums`, tensor("float64", [moments.width, classCount], moments.sums));
  }
  return encodeSafetensors(tensors, { format: "sheaf-statistics" });
}

/** Reads statistics back. Throws `corrupt`, naming `what`, when a part is missing, has another shape, or cannot be a sum of real samples. */
export function decodeStatistics(bytes: Uint8Array, what: string): DeviceStatistics {
  const { tensors } = decodeSafetensors(bytes, what);
  const refuse = (reason: string): never => {
    throw new SheafError("corrupt", `${what} does not hold statistics of samples: ${reason}; compute and upload them again.`);
  };
  const read = (name: string, shapeOf: (shape: Shape) => Shape): Float64Array => {
    const value = tensors.get(name);
    if (value?.dtype !== "float64") return refuse(`"${name}" is ${value ? `of type ${value.dtype}, not float64` : "missing"}`);
    const expected = shapeOf(value.shape);
    if (!sameShape(value.shape, expected))
      return refuse(`"${name}" has shape [${value.shape.join(", ")}], expected [${expected.join(", ")}]`);
    const data = value.data as Float64Array;
    if (!data.every(Number.isFinite)) return refuse(`"${name}" has a value that is not finite`);
    return data;
  };
  const counts = read("counts", (shape) => [shape[0] ?? 0]);
  if (counts.some((count) => count < 0)) refuse("a class has a negative number of samples");
  const moments = (kind: (typeof momentKinds)[number]): Moments => {
    const sums = read(`${kind}.sums`, (shape) => [shape[0] ?? 0, counts.length]);
    const width = sums.length / counts.length;
    const gram = unpackLower(
      read(`${kind}.gram`, () => [triangleSize(width)]),
      width,
    );
    for (let i = 0; i < width; i++) if ((gram[i * width + i] as number) < 0) refuse(`"${kind}.gram" has a negative sum of squares at ${i}`);
    return { width, gram, sums };
  };
  return { classCount: counts.length, counts, features: moments("features"), logProbabilities: moments("logProbabilities") };
}
