/** The header of NumPy's `.npy` format (versions 1 to 3) and the numbers of its arrays. Reads bytes it is given; opens no files. */
import { SheafError } from "../../util/errors.ts";

/** How the numbers of one NumPy type are read. */
interface NumberType {
  readonly bytes: number;
  readonly get: (view: DataView, offset: number, littleEndian: boolean) => number;
}

/** Types by NumPy's letter and size. 64-bit integers beyond 2^53 lose digits; no label or pixel is that large. */
const numberTypes: Readonly<Record<string, NumberType>> = {
  b1: { bytes: 1, get: (view, offset) => view.getUint8(offset) },
  u1: { bytes: 1, get: (view, offset) => view.getUint8(offset) },
  i1: { bytes: 1, get: (view, offset) => view.getInt8(offset) },
  u2: { bytes: 2, get: (view, offset, little) => view.getUint16(offset, little) },
  i2: { bytes: 2, get: (view, offset, little) => view.getInt16(offset, little) },
  u4: { bytes: 4, get: (view, offset, little) => view.getUint32(offset, little) },
  i4: { bytes: 4, get: (view, offset, little) => view.getInt32(offset, little) },
  u8: { bytes: 8, get: (view, offset, little) => Number(view.getBigUint64(offset, little)) },
  i8: { bytes: 8, get: (view, offset, little) => Number(view.getBigInt64(offset, little)) },
  f4: { bytes: 4, get: (view, offset, little) => view.getFloat32(offset, little) },
  f8: { bytes: 8, get: (view, offset, little) => view.getFloat64(offset, little) },
};

/** What the header of an array says. */
export interface NpyHeader {
  /** NumPy's letter and size without the byte order, for instance "f4" or "U10". */
  readonly type: string;
  readonly littleEndian: boolean;
  readonly shape: readonly number[];
  readonly fortranOrder: boolean;
  /** Where the first value lies, in bytes from the start of the file. */
  readonly dataStart: number;
}

/** Bytes of one value. Text ("U", "S") has a fixed number of characters; "U" has four bytes for each. */
function itemBytes(type: string): number | undefined {
  if (Object.hasOwn(numberTypes, type)) return numberTypes[type]?.bytes;
  const [, letter, count] = /^([US])(\d+)$/.exec(type) ?? [];
  return letter ? Number(count) * (letter === "U" ? 4 : 1) : undefined;
}

/** Bytes that the values of an array take. */
export function npyBytes({ type, shape }: NpyHeader): number {
  return (itemBytes(type) ?? 0) * shape.reduce((product, extent) => product * extent, 1);
}

/**
 * Parses the header at the start of `bytes`, which must hold all of it (64 KiB always do), and compares the array with the `size` of its file.
 * Throws `data`, naming `where`, for bytes that are no `.npy`, types without fixed-size values (Python objects, records), and a file cut short.
 */
export function parseNpyHeader(bytes: Uint8Array, where: string, size: number): NpyHeader {
  const refuse = (expected: string, got: string): never => {
    throw new SheafError("data", `${where}: expected ${expected}, got ${got}; write it again with numpy.save or numpy.savez.`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (bytes.length < 10 || magic.some((byte, i) => bytes[i] !== byte)) return refuse("an array in NumPy's .npy format", "other bytes");
  const version = view.getUint8(6);
  if (version < 1 || version > 3) return refuse("version 1, 2 or 3 of the .npy format", `version ${version}`);
  const textStart = version === 1 ? 10 : 12;
  if (bytes.length < textStart) return refuse("a whole header", `a file of ${size} bytes`);
  const dataStart = textStart + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataStart > bytes.length) return refuse(`a header of ${dataStart} bytes`, `a file cut short after ${bytes.length} bytes`);
  const text = new TextDecoder().decode(bytes.subarray(textStart, dataStart));
  // The header is a Python dictionary in the one form that NumPy writes.
  const descr = /'descr':\s*'([<>|=])([A-Za-z]\d+)'/.exec(text);
  const fortran = /'fortran_order':\s*(True|False)/.exec(text);
  const extents = /'shape':\s*\(([\d\s,L]*)\)/.exec(text);
  if (!descr || !fortran || !extents || itemBytes(descr[2] ?? "") === undefined) {
    return refuse("an array of numbers or text", `the header ${text.trim()}`);
  }
  const shape = (extents[1] ?? "").split(",").filter((extent) => extent.trim() !== "");
  const header: NpyHeader = {
    type: descr[2] ?? "",
    littleEndian: descr[1] !== ">",
    shape: shape.map((extent) => Number.parseInt(extent, 10)),
    fortranOrder: fortran[1] === "True",
    dataStart,
  };
  const needed = dataStart + npyBytes(header);
  if (size < needed)
    return refuse(`${needed} bytes for the shape (${header.shape.join(", ")}) of type ${header.type}`, `${size}: it is cut short`);
  return header;
}

/** Whether the values are numbers. */
export function isNumeric({ type }: NpyHeader): boolean {
  return Object.hasOwn(numberTypes, type);
}

/** `count` numbers of an array from bytes that start with the first of them; uint8 stays, all others become float64. */
export function npyNumbers(header: NpyHeader, bytes: Uint8Array, count: number): Uint8Array | Float64Array {
  if (header.type === "u1" || header.type === "b1") return bytes.subarray(0, count);
  const { bytes: step, get } = numberTypes[header.type] as NumberType;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; i++) numbers[i] = get(view, i * step, header.littleEndian);
  return numbers;
}

/** The strings of an array of text ("U": UTF-32, "S": bytes), padding taken off. */
export function npyStrings(header: NpyHeader, bytes: Uint8Array): string[] {
  const step = itemBytes(header.type) ?? 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  for (let start = 0; step > 0 && start + step <= bytes.length; start += step) {
    let text = "";
    if (header.type.startsWith("S")) text = new TextDecoder().decode(bytes.subarray(start, start + step));
    else for (let at = start; at < start + step; at += 4) text += String.fromCodePoint(view.getUint32(at, header.littleEndian));
    strings.push(text.replace(/\0+$/, ""));
  }
  return strings;
}
