/**
 * Prepared records in the cache: one file of records, and a description beside it that is written last, so that records without
 * a description, or that do not match it, count as absent. Knows nothing of images or sounds.
 */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { storageError, writeFileAtomic } from "../util/files.node.ts";
import { sha256Hex } from "../util/hash.node.ts";
import type { SampleDType, SampleValues } from "./dataset.ts";
import type { NamedPart } from "./parts.ts";

/** A sample that could not be read, and why. */
export interface SkippedSample {
  readonly where: string;
  readonly reason: string;
}

/** One record on its way to the file. */
export interface NewRecord {
  readonly values: SampleValues;
  readonly label: number;
  readonly part: NamedPart;
  /** Label of the second, coarser labelling. */
  readonly coarse?: number | undefined;
}

/** A complete file of records. */
export interface RecordFile {
  readonly path: string;
  readonly dtype: SampleDType;
  readonly bytes: number;
  /** SHA-256 (hexadecimal) of the records, followed by the labels as little-endian uint16. */
  readonly sha256: string;
  readonly labels: Uint16Array;
  readonly parts: readonly NamedPart[];
  readonly coarse: Uint16Array | undefined;
  readonly skipped: readonly SkippedSample[];
}

/** What the description says; arrays are base64. */
interface Description {
  readonly dtype: SampleDType;
  readonly bytes: number;
  readonly sha256: string;
  /** SHA-256 of pieces spread over the file: shows at once whether a large file was altered or filled with zeros. */
  readonly probeSha256: string;
  readonly labels: string;
  readonly parts: string;
  readonly coarse: string | null;
  readonly skipped: readonly SkippedSample[];
}

const partNames: readonly NamedPart[] = [undefined, "train", "validation", "test"];
const bufferBytes = 1 << 20;
const probes = 64;
const probeBytes = 4096;

const littleEndian = (labels: Uint16Array): Uint8Array => {
  const view = new DataView(new ArrayBuffer(2 * labels.length));
  labels.forEach((label, i) => {
    view.setUint16(2 * i, label, true);
  });
  return new Uint8Array(view.buffer);
};
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const labelsOf = (text: string): Uint16Array => {
  const bytes = Buffer.from(text, "base64");
  return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(2 * i));
};

const paths = (folder: string, key: string): { records: string; description: string } => ({
  records: join(folder, `${key}.bin`),
  description: join(folder, `${key}.json`),
});

async function probe(file: FileHandle, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  const piece = new Uint8Array(probeBytes);
  for (let i = 0; i < probes; i++) {
    const place = Math.floor((Math.max(0, bytes - probeBytes) * i) / (probes - 1));
    const { bytesRead } = await file.read(piece, 0, probeBytes, place);
    hash.update(piece.subarray(0, bytesRead));
  }
  return hash.digest("hex");
}

/** The description when it is there and unaltered. */
async function readDescription(path: string): Promise<Description | undefined> {
  try {
    const { description, check } = JSON.parse(await readFile(path, "utf8")) as { description: Description; check: string };
    return check === sha256Hex(JSON.stringify(description)) ? description : undefined;
  } catch {
    return undefined;
  }
}

/** The records of `key` when they are complete and, as far as size and pieces show, unaltered; undefined otherwise. */
export async function findRecords(folder: string, key: string): Promise<RecordFile | undefined> {
  const { records: path, description: descriptionPath } = paths(folder, key);
  const description = await readDescription(descriptionPath);
  if (!description) return undefined;
  const file = await open(path, "r").catch(() => undefined);
  if (!file) return undefined;
  try {
    const { size } = await file.stat();
    if (size !== description.bytes || (await probe(file, size)) !== description.probeSha256) return undefined;
  } finally {
    await file.close();
  }
  const { dtype, bytes, sha256, labels, parts, coarse, skipped } = description;
  return {
    path,
    dtype,
    bytes,
    sha256,
    labels: labelsOf(labels),
    parts: [...Buffer.from(parts, "base64")].map((part) => partNames[part]),
    coarse: coarse === null ? undefined : labelsOf(coarse),
    skipped,
  };
}

const views: { readonly [D in SampleDType]: (buffer: SharedArrayBuffer) => SampleValues } = {
  uint8: (buffer) => new Uint8Array(buffer),
  int16: (buffer) => new Int16Array(buffer),
  float32: (buffer) => new Float32Array(buffer),
};

/** All values of a file of records over shared memory; undefined when their hash is not the one that was written down. */
export async function readRecords({ path, dtype, bytes, sha256, labels }: RecordFile): Promise<SampleValues | undefined> {
  const shared = new SharedArrayBuffer(bytes);
  const hash = createHash("sha256");
  const file = await open(path, "r").catch(() => undefined);
  if (!file) return undefined;
  try {
    for (let place = 0; place < bytes; ) {
      const piece = new Uint8Array(shared, place, Math.min(bufferBytes, bytes - place));
      const { bytesRead } = await file.read(piece, 0, piece.length, place);
      if (bytesRead === 0) return undefined;
      hash.update(piece.subarray(0, bytesRead));
      place += bytesRead;
    }
  } finally {
    await file.close();
  }
  return hash.update(littleEndian(labels)).digest("hex") === sha256 ? views[dtype](shared) : undefined;
}

interface RecordWriter {
  append(values: SampleValues): Promise<void>;
  flush(): Promise<void>;
  /** Of all that was flushed. */
  readonly hash: Hash;
  writtenBytes(): number;
}

/** Appends values to a file through one buffer, and hashes them on the way. */
function recordWriter(file: FileHandle): RecordWriter {
  const buffer = new Uint8Array(bufferBytes);
  const hash = createHash("sha256");
  let filled = 0;
  let written = 0;
  const flush = async (): Promise<void> => {
    hash.update(buffer.subarray(0, filled));
    for (let from = 0; from < filled; ) from += (await file.write(buffer, from, filled - from)).bytesWritten;
    written += filled;
    filled = 0;
  };
  return {
    async append(values) {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      for (let from = 0; from < bytes.length; ) {
        const count = Math.min(bytes.length - from, bufferBytes - filled);
        buffer.set(bytes.subarray(from, from + count), filled);
        filled += count;
        from += count;
        if (filled === bufferBytes) await flush();
      }
    },
    flush,
    hash,
    writtenBytes: () => written,
  };
}

/** A name that says which process writes it, so that what a killed one leaves can be told. */
const temporaryName = (key: string): string => `.${key}.${hostname()}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;

/**
 * Writes records as they come, in their order, and their description when all are there. They appear under `key` complete or not at all.
 * `skipped` is asked at the end. Throws `storage`, naming the path, when the disk refuses; on any failure nothing is left behind.
 */
export async function writeRecords(
  folder: string,
  key: string,
  dtype: SampleDType,
  records: AsyncIterable<NewRecord>,
  skipped: () => readonly SkippedSample[],
): Promise<void> {
  const { records: path, description: descriptionPath } = paths(folder, key);
  const temporary = join(folder, temporaryName(key));
  const onDisk = async <T>(step: Promise<T>): Promise<T> => {
    try {
      return await step;
    } catch (error) {
      throw storageError(error, path);
    }
  };
  await onDisk(mkdir(folder, { recursive: true }));
  const file = await onDisk(open(temporary, "wx+"));
  try {
    const labels: number[] = [];
    const parts: number[] = [];
    const coarse: number[] = [];
    const writer = recordWriter(file);
    try {
      for await (const record of records) {
        await onDisk(writer.append(record.values));
        labels.push(record.label);
        parts.push(partNames.indexOf(record.part));
        if (record.coarse !== undefined) coarse.push(record.coarse);
      }
      await onDisk(writer.flush());
      await onDisk(file.sync());
      const bytes = writer.writtenBytes();
      const labelBytes = littleEndian(Uint16Array.from(labels));
      const description: Description = {
        dtype,
        bytes,
        sha256: writer.hash.update(labelBytes).digest("hex"),
        probeSha256: await onDisk(probe(file, bytes)),
        labels: base64(labelBytes),
        parts: base64(Uint8Array.from(parts)),
        coarse: coarse.length > 0 ? base64(littleEndian(Uint16Array.from(coarse))) : null,
        skipped: skipped(),
      };
      // An old description must not speak for new records while they are swapped.
      await onDisk(rm(descriptionPath, { force: true }));
      await onDisk(rename(temporary, path));
      await writeFileAtomic(descriptionPath, JSON.stringify({ description, check: sha256Hex(JSON.stringify(description)) }));
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

const temporaryPattern = /^\.[0-9a-f]+\.(.+)\.(\d+)\.[0-9a-f]{8}\.tmp$/;

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const dayMs = 24 * 3600 * 1000;

/** Removes temporary files that no process is writing any more: of processes of this machine that ended, and any that are a day old. */
export async function sweepTemporaryFiles(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const [, host, processId] = temporaryPattern.exec(name) ?? [];
    if (host === undefined) continue;
    const path = join(folder, name);
    const isOurs = host === hostname();
    const isOld = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs > dayMs,
      () => false,
    );
    if (isOld || (isOurs && !isRunning(Number(processId)))) await rm(path, { force: true }).catch(() => undefined);
  }
}
