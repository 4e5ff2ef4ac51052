/**
 * The safetensors format (https://github.com/huggingface/safetensors): named tensors in one file, no code in it. Sheaf's weights,
 * statistics and checkpoints are such files. Reading trusts nothing: every length and offset is checked before use.
 */
import { SheafError } from "./errors.ts";
import { bytesPerElement, type DType, type DTypeData, type Shape, sizeOf, type Tensor } from "./tensor.ts";

/** What a file holds: tensors by name and the writer's notes. */
export interface Safetensors {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const formatNames: { readonly [D in DType]: string } = {
  float32: "F32",
  float64: "F64",
  int32: "I32",
  int64: "I64",
  uint8: "U8",
  bool: "BOOL",
};
const dtypeOf = new Map(Object.entries(formatNames).map(([dtype, name]) => [name, dtype as DType]));

const metadataKey = "__metadata__";
const lengthBytes = 8;
/** The limit of the reference implementation. */
const maxHeaderBytes = 100_000_000;

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const bytesOf = (data: DTypeData[DType]): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Typed arrays have the machine's byte order, the format is little-endian; every platform that Sheaf runs on is little-endian too. */
function checkByteOrder(): void {
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) {
    throw new SheafError("unavailable", "Safetensors files need a little-endian machine; this one is big-endian.");
  }
}

/**
 * Bytes of a safetensors file. Header keys are sorted, data is ordered by element size (largest first, so that each tensor is aligned)
 * and then by name: the same tensors and metadata always give the same bytes, whatever their order in the map.
 * Throws `internal` for the reserved name `__metadata__`.
 * @example const file = encodeSafetensors(result.parameters, { device: "pi-3" });
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  checkByteOrder();
  if (tensors.has(metadataKey))
    throw new SheafError("internal", `A tensor cannot be called "${metadataKey}"; the format reserves the name.`);
  const byName = [...tensors].sort(([a], [b]) => byCodeUnits(a, b));
  const byPlace = [...byName].sort(([, a], [, b]) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype]);
  const offsets = new Map<string, readonly [number, number]>();
  let dataBytes = 0;
  for (const [name, { data }] of byPlace) {
    offsets.set(name, [dataBytes, dataBytes + data.byteLength]);
    dataBytes += data.byteLength;
  }

  const entries = byName.map(([name, { dtype, shape }]) => [name, { dtype: formatNames[dtype], shape, data_offsets: offsets.get(name) }]);
  const notes = Object.entries(metadata).sort(([a], [b]) => byCodeUnits(a, b));
  const fields = notes.length > 0 ? [[metadataKey, Object.fromEntries(notes)], ...entries] : entries;
  // Written field by field: an object would move keys that look like numbers to the front.
  const text = `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const header = new TextEncoder().encode(text);
  const headerBytes = Math.ceil(header.length / 8) * 8;

  const file = new Uint8Array(lengthBytes + headerBytes + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, lengthBytes, lengthBytes + headerBytes);
  file.set(header, lengthBytes);
  for (const [name, { data }] of byPlace) file.set(bytesOf(data), lengthBytes + headerBytes + (offsets.get(name)?.[0] ?? 0));
  return file;
}

type Fail = (problem: string) => SheafError;

function readHeader(bytes: Uint8Array, fail: Fail): { readonly fields: [string, unknown][]; readonly headerBytes: number } {
  if (bytes.length < lengthBytes) throw fail(`it has ${bytes.length} bytes, too few for the length of a header`);
  const declared = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  const most = Math.min(bytes.length - lengthBytes, maxHeaderBytes);
  if (declared > BigInt(most)) throw fail(`its header should be ${declared} bytes long, but at most ${most} are possible`);
  const headerBytes = Number(declared);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.slice(lengthBytes, lengthBytes + headerBytes)));
  } catch {
    throw fail("its header is not JSON");
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) throw fail("its header is not a JSON object");
  return { fields: Object.entries(header), headerBytes };
}

function readMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw fail("its metadata is not a JSON object");
  const notes = Object.entries(value);
  for (const [key, note] of notes) if (typeof note !== "string") throw fail(`its metadata entry "${key}" is not a string`);
  return Object.fromEntries(notes) as Record<string, string>;
}

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly start: number;
  readonly end: number;
}

const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount);

function readEntry(name: string, value: unknown, fail: Fail): Entry {
  const entry = (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const { dtype: formatName, shape, data_offsets: offsets } = entry;
  const dtype = typeof formatName === "string" ? dtypeOf.get(formatName) : undefined;
  if (!dtype) throw fail(`tensor "${name}" has dtype ${JSON.stringify(formatName)}; known are ${[...dtypeOf.keys()].join(", ")}`);
  if (!isCounts(shape)) throw fail(`tensor "${name}" has shape ${JSON.stringify(shape)}, which is not a list of whole numbers`);
  const [start, end] = isCounts(offsets) && offsets.length === 2 ? offsets : [];
  if (start === undefined || end === undefined)
    throw fail(`tensor "${name}" has data_offsets ${JSON.stringify(offsets)}, not two whole numbers`);
  const expected = sizeOf(shape) * bytesPerElement[dtype];
  if (end - start !== expected) {
    throw fail(`tensor "${name}" of shape [${shape.join(", ")}] and dtype ${formatName} needs ${expected} bytes, but has ${end - start}`);
  }
  return { name, dtype, shape, start, end };
}

/** The format allows neither gaps nor overlaps nor bytes left over. */
function checkPlaces(entries: readonly Entry[], dataBytes: number, fail: Fail): void {
  let reached = 0;
  for (const { name, start, end } of [...entries].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (start < reached) throw fail(`tensor "${name}" starts at byte ${start}, inside the tensor before it, which ends at ${reached}`);
    if (start > reached) throw fail(`bytes ${reached} to ${start} belong to no tensor`);
    if (end > dataBytes)
      throw fail(`tensor "${name}" ends at byte ${end}, but the data has only ${dataBytes} bytes; the file is cut short`);
    reached = end;
  }
  if (reached !== dataBytes) throw fail(`bytes ${reached} to ${dataBytes} belong to no tensor`);
}

const viewOf: { readonly [D in DType]: (bytes: Uint8Array<ArrayBuffer>) => DTypeData[D] } = {
  float32: ({ buffer }) => new Float32Array(buffer),
  float64: ({ buffer }) => new Float64Array(buffer),
  int32: ({ buffer }) => new Int32Array(buffer),
  int64: ({ buffer }) => new BigInt64Array(buffer),
  uint8: (bytes) => bytes,
  bool: (bytes) => bytes,
};

function readTensor({ name, dtype, shape, start, end }: Entry, data: Uint8Array, fail: Fail): Tensor {
  // A copy: data in a foreign file may be unaligned, and the caller may keep one tensor without keeping the file.
  const own = new Uint8Array(end - start);
  own.set(data.subarray(start, end));
  if (dtype === "bool" && own.some((value) => value > 1)) throw fail(`tensor "${name}" is BOOL but has values other than 0 and 1`);
  return { dtype, shape, data: viewOf[dtype](own) };
}

/**
 * Reads a safetensors file with F32, F64, I64, I32, U8 and BOOL tensors. The tensors are copies; names come in the file's order.
 * Throws `corrupt`, naming `what` (a file, an upload) and the problem, for anything that is not exactly such a file.
 * @example const { tensors } = decodeSafetensors(await readFile("branch.safetensors"), "branch.safetensors");
 */
export function decodeSafetensors(bytes: Uint8Array, what: string): Safetensors {
  checkByteOrder();
  const fail: Fail = (problem) => new SheafError("corrupt", `${what} is not a valid safetensors file: ${problem}.`);
  const { fields, headerBytes } = readHeader(bytes, fail);
  const data = bytes.subarray(lengthBytes + headerBytes);
  let metadata: Record<string, string> = {};
  const entries: Entry[] = [];
  for (const [name, value] of fields) {
    if (name === metadataKey) metadata = readMetadata(value, fail);
    else entries.push(readEntry(name, value, fail));
  }
  checkPlaces(entries, data.length, fail);
  return { tensors: new Map(entries.map((entry) => [entry.name, readTensor(entry, data, fail)])), metadata };
}
