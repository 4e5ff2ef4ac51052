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
  /** Of the branches' concatenated pooled features; what H2 and H5 are made of. */
  readonly features: Moments;
  /** Of the branches' concatenated log-probabilities; what H1 is made of. */
  readonly logProbabilities: Moments;
  /** Of a random expansion of the features; what H4 is made of beside them. */
  readonly expanded?: Moments;
  /** [features, logProbabilities]: sum of products; what H3 is made of beside the moments. */
  readonly crossScores?: Float64Array;
  /** [features, expanded]: sum of products; what H4 is made of beside the moments. */
  readonly crossExpanded?: Float64Array;
}

/** Which moments every set of statistics holds. */
export const momentKinds = ["features", "logProbabilities"] as const;

/** What a set of statistics sums, by number of columns. */
export interface StatisticsWidths {
  readonly features: number;
  readonly logProbabilities: number;
  /** Columns of the random expansion; none unless given. */
  readonly expanded?: number;
  /** Whether products of features and log-probabilities are summed too; not unless given. */
  readonly scores?: boolean;
}

/** What is summed, as read off the sums themselves. */
export function widthsOf({ features, logProbabilities, expanded, crossScores }: DeviceStatistics): Required<StatisticsWidths> {
  return {
    features: features.width,
    logProbabilities: logProbabilities.width,
    expanded: expanded?.width ?? 0,
    scores: crossScores !== undefined,
  };
}

/** The arrays of a set of statistics by name; the same names in the same order for the same widths. */
export function arraysOf(statistics: DeviceStatistics): ReadonlyMap<string, Float64Array> {
  const { counts, features, logProbabilities, expanded, crossScores, crossExpanded } = statistics;
  const arrays = new Map<string, Float64Array>([["counts", counts]]);
  for (const [kind, moments] of Object.entries({ features, logProbabilities, expanded })) {
    if (!moments) continue;
    arrays.set(`${kind}.gram`, moments.gram).set(`${kind}.sums`, moments.sums);
  }
  if (crossScores) arrays.set("scores.cross", crossScores);
  if (crossExpanded) arrays.set("expanded.cross", crossExpanded);
  return arrays;
}

/** Statistics of no samples. */
export function emptyStatistics(classCount: number, widths: StatisticsWidths): DeviceStatistics {
  const { features, logProbabilities, expanded = 0, scores = false } = widths;
  const empty = (width: number): Moments => ({ width, gram: new Float64Array(width * width), sums: new Float64Array(width * classCount) });
  return {
    classCount,
    counts: new Float64Array(classCount),
    features: empty(features),
    logProbabilities: empty(logProbabilities),
    ...(expanded > 0 ? { expanded: empty(expanded), crossExpanded: new Float64Array(features * expanded) } : {}),
    ...(scores ? { crossScores: new Float64Array(features * logProbabilities) } : {}),
  };
}

const describeWidths = ({ features, logProbabilities, expanded, scores }: Required<StatisticsWidths>, classCount: number): string =>
  `${features} features, ${logProbabilities} log-probabilities${scores ? " and their products" : ""}${expanded > 0 ? `, an expansion of ${expanded}` : ""} and ${classCount} classes`;

/**
 * The statistics of both devices' samples together. Commutative to the bit; for the same bytes in every run, add devices in a fixed order.
 * Throws `corrupt` when the two were not computed from the same branches.
 */
export function addStatistics(a: DeviceStatistics, b: DeviceStatistics): DeviceStatistics {
  const [ofA, ofB] = [describeWidths(widthsOf(a), a.classCount), describeWidths(widthsOf(b), b.classCount)];
  if (ofA !== ofB) {
    throw new SheafError("corrupt", `Statistics of ${ofA} cannot be added to statistics of ${ofB}; both must come from the same branches.`);
  }
  const sum = emptyStatistics(a.classCount, widthsOf(a));
  const [from, more] = [arraysOf(a), arraysOf(b)];
  for (const [name, into] of arraysOf(sum)) {
    const [x, y] = [from.get(name) as Float64Array, more.get(name) as Float64Array];
    for (let i = 0; i < into.length; i++) into[i] = (x[i] as number) + (y[i] as number);
  }
  return sum;
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
export function statisticsBytes(widths: StatisticsWidths, classCount: number): number {
  const { features, logProbabilities, expanded = 0, scores = false } = widths;
  let values = classCount + features * expanded + (scores ? features * logProbabilities : 0);
  for (const width of [features, logProbabilities, expanded]) values += triangleSize(width) + width * classCount;
  return values * Float64Array.BYTES_PER_ELEMENT;
}

/** Statistics as a safetensors file: of each Gram matrix only the lower triangle, row by row. The same sums give the same bytes. */
export function encodeStatistics(statistics: DeviceStatistics): Uint8Array<ArrayBuffer> {
  const { classCount, counts, features, logProbabilities, expanded, crossScores, crossExpanded } = statistics;
  const tensors = new Map<string, Tensor>([["counts", tensor("float64", [classCount], counts)]]);
  for (const [kind, moments] of Object.entries({ features, logProbabilities, expanded })) {
    if (!moments) continue;
    tensors.set(`${kind}.gram`, tensor("float64", [triangleSize(moments.width)], packLower(moments)));
    tensors.set(`${kind}.sums`, tensor("float64", [moments.width, classCount], moments.sums));
  }
  if (crossScores) tensors.set("scores.cross", tensor("float64", [features.width, logProbabilities.width], crossScores));
  if (expanded && crossExpanded) tensors.set("expanded.cross", tensor("float64", [features.width, expanded.width], crossExpanded));
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
  const moments = (kind: string): Moments => {
    const sums = read(`${kind}.sums`, (shape) => [shape[0] ?? 0, counts.length]);
    const width = sums.length / counts.length;
    const gram = unpackLower(
      read(`${kind}.gram`, () => [triangleSize(width)]),
      width,
    );
    for (let i = 0; i < width; i++) if ((gram[i * width + i] as number) < 0) refuse(`"${kind}.gram" has a negative sum of squares at ${i}`);
    return { width, gram, sums };
  };
  const [features, logProbabilities] = [moments("features"), moments("logProbabilities")];
  const expanded = tensors.has("expanded.sums") ? moments("expanded") : undefined;
  return {
    classCount: counts.length,
    counts,
    features,
    logProbabilities,
    ...(expanded ? { expanded, crossExpanded: read("expanded.cross", () => [features.width, expanded.width]) } : {}),
    ...(tensors.has("scores.cross") ? { crossScores: read("scores.cross", () => [features.width, logProbabilities.width]) } : {}),
  };
}
