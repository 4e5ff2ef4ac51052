/** A data set in one file: what such a file exports, and how that becomes data sets. Checks everything, since it comes from outside. */
import { SheafError } from "../util/errors.ts";
import type { Dataset, DatasetSplits, SampleShape, SampleValues } from "./dataset.ts";
import { channelStatistics, recordLength, sampleSize, sharedLabels } from "./dataset.ts";

/** Samples of one part. */
export interface DefinedPart {
  /** Class of each sample. */
  readonly labels: ArrayLike<number>;
  /** The samples one after another, each [channels, height, width]: bytes 0 to 255, or any finite floats. */
  readonly values: Uint8Array | Float32Array;
}

/** A whole data set as arrays. */
export interface DefinedArrays {
  readonly classNames: readonly string[];
  readonly shape: SampleShape;
  readonly train: DefinedPart;
  readonly test: DefinedPart;
  readonly validation?: DefinedPart | undefined;
  /** Where the samples come from, for reports. */
  readonly source?: string | undefined;
  /** A class that no device needs to own. */
  readonly otherClass?: number | undefined;
}

/** What `load` of a definition is given. */
export interface DefinedOptions {
  /** For whatever is random in the set. */
  readonly seed: number;
  /** Numbers of samples that the user asked for: a hint to a set made in code; the set is cut to them in any case. */
  readonly trainCount?: number | undefined;
  readonly testCount?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A data set of the user's own. */
export interface DatasetDefinition {
  /** For reports; letters, digits, `_`, `.` and `-`. */
  readonly name: string;
  readonly title?: string | undefined;
  load(options: DefinedOptions): DefinedArrays | DatasetSplits | Promise<DefinedArrays | DatasetSplits>;
}

/**
 * Says what a data set in one file is; the file is then given as `--data-set file.ts`. Returns its argument.
 * @example export default defineDataset({ name: "stripes", load: () => ({ classNames, shape, train, test }) });
 */
export function defineDataset(definition: DatasetDefinition): DatasetDefinition {
  return definition;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null;

/** A short text of any value, for error messages. */
function shown(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${(value as Uint8Array).length}`;
  const text = typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  return text === undefined ? String(value) : text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function refuse(where: string, what: string, expected: string, got: unknown): never {
  throw new SheafError("data", `${where}: ${what} must be ${expected}, got ${shown(got)}; correct the file and run again.`);
}

/** What a module's default export must be. Throws `data` naming the file. */
export function checkDefinition(value: unknown, where: string): DatasetDefinition {
  if (!isObject(value)) refuse(where, "the default export", "what defineDataset returns: an object with name and load", value);
  const { name, load } = value;
  if (typeof name !== "string" || !/^[\w.-]+$/.test(name)) refuse(where, "name", "a word of letters, digits, _, . and -", name);
  if (typeof load !== "function") refuse(where, "load", "a function that gives the samples", load);
  return value as unknown as DatasetDefinition;
}

function checkNames(classNames: unknown, where: string): readonly string[] {
  if (!Array.isArray(classNames) || classNames.length === 0 || !classNames.every((name) => typeof name === "string" && name !== "")) {
    refuse(where, "classNames", "a list of names", classNames);
  }
  const twice = (classNames as string[]).find((name, i) => classNames.indexOf(name) !== i);
  if (twice !== undefined) refuse(where, "classNames", "different names", twice);
  return classNames as string[];
}

function checkShape(shape: unknown, where: string): SampleShape {
  const { channels, height, width } = isObject(shape) ? shape : {};
  if (![channels, height, width].every((extent) => Number.isInteger(extent) && (extent as number) > 0)) {
    refuse(where, "shape", "{ channels, height, width } of whole numbers from 1 on", shape);
  }
  return { channels, height, width } as SampleShape;
}

/** Labels over shared memory, each below the number of classes. */
function checkLabels(labels: ArrayLike<number>, classCount: number, where: string, part: string): Uint16Array {
  const checked = sharedLabels(labels.length);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (!(Number.isInteger(label) && (label as number) >= 0 && (label as number) < classCount)) {
      refuse(where, `${part}.labels[${i}]`, `a whole number from 0 to ${classCount - 1}, one for each class name`, label);
    }
    checked[i] = label as number;
  }
  return checked;
}

/** The values over shared memory, so that worker threads need no copies. */
function shareValues(values: Uint8Array | Float32Array): Uint8Array | Float32Array {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const buffer = new SharedArrayBuffer(values.byteLength);
  const copy = values instanceof Uint8Array ? new Uint8Array(buffer) : new Float32Array(buffer);
  copy.set(values);
  return copy;
}

/** Checks one part; gives its labels and values. */
function checkPart(
  value: unknown,
  shape: SampleShape,
  classCount: number,
  where: string,
  part: string,
): { labels: Uint16Array; values: Uint8Array | Float32Array } {
  if (!isObject(value)) refuse(where, part, "{ labels, values }", value);
  const { labels, values } = value;
  if (!Array.isArray(labels) && !ArrayBuffer.isView(labels)) refuse(where, `${part}.labels`, "a list of class numbers", labels);
  const { length } = labels as unknown as ArrayLike<number>;
  if (length === 0) refuse(where, `${part}.labels`, "a list of at least one sample", labels);
  if (!(values instanceof Uint8Array) && !(values instanceof Float32Array)) {
    refuse(where, `${part}.values`, "a Uint8Array (0 to 255) or a Float32Array", values);
  }
  const needed = length * sampleSize(shape);
  if (values.length !== needed) {
    const { channels, height, width } = shape;
    refuse(where, `${part}.values`, `of ${needed} values (${length} samples of ${channels} x ${height} x ${width})`, values);
  }
  const wrong = values instanceof Float32Array ? values.findIndex((x) => !Number.isFinite(x)) : -1;
  if (wrong >= 0) refuse(where, `${part}.values[${wrong}]`, "a finite number", values[wrong]);
  return { labels: checkLabels(labels as unknown as ArrayLike<number>, classCount, where, part), values: shareValues(values) };
}

/** Checks data sets that a definition put together itself. */
function checkDataset(value: unknown, where: string, part: string): void {
  if (!isObject(value)) refuse(where, part, "a data set", value);
  const dataset = value as unknown as Dataset;
  const classNames = checkNames(dataset.classNames, where);
  const shape = checkShape(dataset.shape, where);
  for (const key of ["mean", "std"] as const) {
    if (dataset[key]?.length !== shape.channels)
      refuse(where, `${part}.${key}`, `one number for each of ${shape.channels} channels`, dataset[key]);
  }
  if (typeof dataset.provenance?.source !== "string") refuse(where, `${part}.provenance`, "{ source, sha256 }", dataset.provenance);
  if (!(dataset.labels instanceof Uint16Array)) refuse(where, `${part}.labels`, "a Uint16Array", dataset.labels);
  checkLabels(dataset.labels, classNames.length, where, part);
  const { store, records } = dataset;
  if (store?.type !== "memory" && store?.type !== "file") refuse(where, `${part}.store`, "a store of type memory or file", store);
  if (records && records.length !== dataset.labels.length)
    refuse(where, `${part}.records`, `one for each of ${dataset.labels.length} samples`, records);
  if (store.type !== "memory") return;
  const needed =
    recordLength(dataset) * (records ? records.reduce((most, record) => Math.max(most, record + 1), 0) : dataset.labels.length);
  if (store.values.length < needed) refuse(where, `${part}.store.values`, `of at least ${needed} values`, store.values);
}

/**
 * Makes data sets of what a definition's `load` gave.
 * @param where the file, for error messages
 * @param hash SHA-256 (hexadecimal) of the labels as little-endian uint16, then the values
 * @throws SheafError `data`, naming the file, the part, what was expected and what was there
 */
export function splitsOf(
  definition: DatasetDefinition,
  value: unknown,
  where: string,
  hash: (labels: Uint16Array, values: SampleValues) => string,
): DatasetSplits {
  if (!isObject(value)) refuse(where, "what load gives", "{ classNames, shape, train, test }", value);
  if (isObject(value.train) && "store" in value.train) {
    for (const part of ["train", "test", ...(value.validation === undefined ? [] : ["validation"])]) checkDataset(value[part], where, part);
    return value as unknown as DatasetSplits;
  }
  const classNames = checkNames(value.classNames, where);
  const shape = checkShape(value.shape, where);
  const { otherClass, source } = value as { otherClass?: unknown; source?: unknown };
  if (
    otherClass !== undefined &&
    !(Number.isInteger(otherClass) && (otherClass as number) >= 0 && (otherClass as number) < classNames.length)
  ) {
    refuse(where, "otherClass", `a class number from 0 to ${classNames.length - 1}`, otherClass);
  }
  const train = checkPart(value.train, shape, classNames.length, where, "train");
  const statistics = channelStatistics(train.values, shape);
  const make = ({ labels, values }: typeof train, part: string): Dataset => ({
    name: definition.name,
    classNames,
    shape,
    labels,
    store: { type: "memory", values },
    ...statistics,
    provenance: {
      source: `${typeof source === "string" ? source : (definition.title ?? definition.name)} (${where}), ${part}: ${labels.length} samples`,
      sha256: hash(labels, values),
    },
    ...(otherClass === undefined ? {} : { otherClass: otherClass as number }),
  });
  return {
    train: make(train, "train"),
    test: make(checkPart(value.test, shape, classNames.length, where, "test"), "test"),
    ...(value.validation === undefined
      ? {}
      : { validation: make(checkPart(value.validation, shape, classNames.length, where, "validation"), "validation") }),
  };
}
