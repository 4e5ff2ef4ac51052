/** Small files for the tests of own data: trees of files, pictures, clips, arrays, ZIP and Parquet files. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import type { SchemaElement } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import sharp from "sharp";
import { encodeWav } from "../wav.ts";
import type { SampleSource } from "./source.ts";

/** Writes files by their paths relative to a folder. */
export async function writeTree(folder: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

/** An encoded picture of one colour. */
export function picture(format: "jpeg" | "png" | "webp", grey: number): Promise<Uint8Array> {
  return sharp({ create: { width: 6, height: 5, channels: 3, background: { r: grey, g: grey, b: grey } } })
    .toFormat(format)
    .toBuffer();
}

/** A WAV of ten samples of one value. */
export const clip = (value: number): Uint8Array => encodeWav(new Int16Array(10).fill(value), 16000);

/** A `.npy` file as NumPy writes it, of the values as they lie in memory. */
export function npy(values: ArrayBufferView, descr: string, shape: readonly number[], fortranOrder = false): Uint8Array {
  const extents = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': ${fortranOrder ? "True" : "False"}, 'shape': (${extents}), }`;
  const padded = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const header = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${padded}`, "latin1");
  header.writeUInt16LE(padded.length, 8);
  return Buffer.concat([header, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]);
}

/** A ZIP file of members, stored or deflated. */
export function zip(members: Readonly<Record<string, Uint8Array>>, method: "stored" | "deflated" = "stored"): Uint8Array {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(members)) {
    const packed = method === "stored" ? content : deflateRawSync(content);
    // Fields that local header and directory share, from "version needed" to "length of the extra field".
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(method === "stored" ? 0 : 8, 4);
    shared.writeUInt32LE(crc32(content), 10);
    shared.writeUInt32LE(packed.length, 14);
    shared.writeUInt32LE(content.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    central.push(Buffer.from("PK\x01\x02\x14\x00", "latin1"), shared, rest, Buffer.from(name));
    const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), shared, Buffer.from(name), packed]);
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(locals.length, 8);
  end.writeUInt16LE(locals.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

export interface ParquetOptions {
  /** Name of the column of samples; "image" unless given. */
  readonly sample?: string;
  /** Name of the column of labels; "label" unless given, none when empty. */
  readonly label?: string;
  readonly names?: readonly string[];
  readonly rowGroupSize?: number;
}

/** A Parquet file as the `datasets` library writes it: a struct {bytes, path}, an int64 label, features in the metadata. */
export function parquet(
  rows: readonly { readonly bytes?: Uint8Array; readonly path?: string; readonly label: number }[],
  { sample = "image", label = "label", names, rowGroupSize = 1000 }: ParquetOptions = {},
): Uint8Array {
  const schema: SchemaElement[] = [
    { name: "schema", num_children: label === "" ? 1 : 2 },
    { name: sample, num_children: 2, repetition_type: "OPTIONAL" },
    { name: "bytes", type: "BYTE_ARRAY", repetition_type: "OPTIONAL" },
    { name: "path", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
    ...(label === "" ? [] : [{ name: label, type: "INT64", repetition_type: "OPTIONAL" } as const]),
  ];
  const features = {
    [sample]: { _type: sample === "audio" ? "Audio" : "Image" },
    [label]: { names, _type: names ? "ClassLabel" : "Value" },
  };
  const columnData = [
    { name: sample, data: rows.map(({ bytes = null, path = null }) => ({ bytes, path })) },
    ...(label === "" ? [] : [{ name: label, data: rows.map((row) => BigInt(row.label)) }]),
  ];
  const kvMetadata = [{ key: "huggingface", value: JSON.stringify({ info: { features } }) }];
  return new Uint8Array(parquetWriteBuffer({ columnData, schema, kvMetadata, rowGroupSize }));
}

/** Class name, part and first byte of the content of each entry: a listing at a glance. */
export async function contents(source: SampleSource): Promise<string[]> {
  const told: string[] = [];
  for (const { label, split, read } of source.entries) {
    told.push(`${source.classNames[label]} ${split ?? "-"} ${Array.from((await read()).subarray(0, 3)).join(" ")}`);
  }
  return told;
}
