/** Members of an `.npz` (a ZIP of `.npy` files) as bytes read by place. A compressed member is inflated, once and when first needed, into a temporary file. */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { Entry, ZipFile } from "yauzl";
import { openPromise } from "yauzl";
import { SheafError } from "../../util/errors.ts";
import type { ByteFile } from "./byteFile.node.ts";
import { headBytes, openByteFile, readAt } from "./byteFile.node.ts";
import { reasonOf } from "./files.node.ts";

/** Arrays by name, without the ending `.npy`. */
export interface Npz {
  readonly names: readonly string[];
  /** Opens one array; closed with the file. Throws `data` when it is damaged. */
  member(name: string): Promise<ByteFile>;
  close(): Promise<void>;
}

const stored = 0;

function damaged(where: string, error: unknown): SheafError {
  if (error instanceof SheafError) return error;
  const reason = error instanceof Error ? error.message : reasonOf(error);
  return new SheafError("data", `${where} cannot be read as part of a ZIP file: ${reason}; it is damaged: put the complete file there.`, {
    cause: error,
  });
}

/** A file that is gone from its folder as soon as it is open, so that nothing is left of it whatever ends the process. */
async function openTemporary(): Promise<Awaited<ReturnType<typeof open>>> {
  const folder = await mkdtemp(join(tmpdir(), "sheaf-npz-"));
  try {
    return await open(join(folder, "array.npy"), "w+");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The inflated bytes of a member, in pieces; throws `data` at the end when they are not those that were packed. */
async function* contentOf(zip: ZipFile, entry: Entry, where: string): AsyncGenerator<Uint8Array> {
  let sum = 0;
  try {
    for await (const chunk of await zip.openReadStreamPromise(entry)) {
      const bytes = chunk as Uint8Array;
      sum = crc32(bytes, sum);
      yield bytes;
    }
  } catch (error) {
    throw damaged(where, error);
  }
  if (sum !== entry.crc32) throw damaged(where, new Error(`its checksum is ${sum.toString(16)} instead of ${entry.crc32.toString(16)}`));
}

type ReadBytes = ByteFile["read"];

/** Checks the sum over a stored member; it is then read where it lies. */
async function readStored(zip: ZipFile, entry: Entry, file: ByteFile, where: string): Promise<{ read: ReadBytes }> {
  for await (const _ of contentOf(zip, entry, where));
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  return { read: (position, length) => file.read(fileDataStart + position, length) };
}

/** Writes a compressed member out. Throws `storage` when the temporary folder is full. */
async function readInflated(zip: ZipFile, entry: Entry, where: string): Promise<{ read: ReadBytes; close: () => Promise<void> }> {
  let handle: Awaited<ReturnType<typeof openTemporary>> | undefined;
  const opened = (): Awaited<ReturnType<typeof openTemporary>> => handle as Awaited<ReturnType<typeof openTemporary>>;
  try {
    handle = await openTemporary();
    for await (const bytes of contentOf(zip, entry, where)) await handle.writeFile(bytes);
  } catch (error) {
    await handle?.close();
    if (error instanceof SheafError) throw error;
    throw new SheafError(
      "storage",
      `${where} is compressed and needs ${entry.uncompressedSize} bytes in ${tmpdir()} (${reasonOf(error)}); make room or name another place with TMPDIR.`,
      { cause: error },
    );
  }
  return { read: (position, length) => readAt(opened(), where, position, length), close: () => opened().close() };
}

async function headOf(zip: ZipFile, entry: Entry, where: string): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(entry.uncompressedSize, headBytes));
  let done = 0;
  for await (const bytes of contentOf(zip, entry, where)) {
    head.set(bytes.subarray(0, head.length - done), done);
    done += Math.min(bytes.length, head.length - done);
    if (done === head.length) break;
  }
  return head.subarray(0, done);
}

async function openMember(zip: ZipFile, entry: Entry, file: ByteFile): Promise<ByteFile> {
  const where = `${file.where} (${entry.fileName})`;
  const head = await headOf(zip, entry, where);
  let content: Promise<{ read: ReadBytes; close?: () => Promise<void> }> | undefined;
  const read: ReadBytes = async (position, length) => {
    content ??= entry.compressionMethod === stored ? readStored(zip, entry, file, where) : readInflated(zip, entry, where);
    return (await content).read(position, length);
  };
  const close = async (): Promise<void> => {
    const closing = content;
    content = Promise.reject(new SheafError("internal", `${where} was read after it was closed.`));
    content.catch(() => {});
    await closing?.then((opened) => opened.close?.()).catch(() => {});
  };
  return { where, size: entry.uncompressedSize, head, read, close };
}

/** Opens an `.npz`; reads its list of members alone. Throws `data`, naming the file, when it is no ZIP file or damaged. */
export async function openNpz(path: string): Promise<Npz> {
  const file = await openByteFile(path);
  let zip: ZipFile | undefined;
  try {
    zip = await openPromise(path, { lazyEntries: true, autoClose: false });
    const entries = new Map<string, Entry>();
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName.endsWith(".npy")) entries.set(entry.fileName.slice(0, -".npy".length), entry);
    }
    const opened = new Map<string, Promise<ByteFile>>();
    const archive = zip;
    return {
      names: [...entries.keys()],
      member(name) {
        const entry = entries.get(name);
        if (!entry) throw new SheafError("data", `${path} has no array ${name}; it has ${[...entries.keys()].join(", ")}.`);
        const member = opened.get(name) ?? openMember(archive, entry, file);
        opened.set(name, member);
        return member;
      },
      async close() {
        for (const member of opened.values()) await member.then((bytes) => bytes.close()).catch(() => {});
        archive.close();
        await file.close();
      },
    };
  } catch (error) {
    zip?.close();
    await file.close();
    throw damaged(path, error);
  }
}
