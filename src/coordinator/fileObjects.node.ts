/**
 * Objects as files named by their hash, under `objects/ab/abcd…`; what is not whole yet lies under `uploads/`, where no reader looks.
 * An object appears by the rename of a file that was written, synced and hashed: a crash at any moment leaves it whole or absent.
 */
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { storageError } from "../util/files.node.ts";
import { sha256HexOfFile } from "../util/hash.node.ts";
import { type FileOperations, fileFacts, freeBytes, namesIn, nodeFileOperations } from "./fileOperations.node.ts";
import { openUploads, temporarySuffix } from "./fileUploads.node.ts";
import { type ObjectStoreOptions, wrongContent } from "./memory.ts";
import { type ByteRange, isObjectName, type ObjectReader, type ObjectStore, type StoredObject } from "./store.ts";

export interface FileObjectsOptions extends ObjectStoreOptions {
  /** Room that uploads leave free on the disk, for the log and the models; default 256 MiB. */
  readonly reserveBytes?: number;
  readonly operations?: FileOperations;
  readonly freeBytes?: (folder: string) => Promise<number>;
}

const pieceBytes = 1 << 18;

/** A file's bytes, read as they are asked for. The handle is closed at the end, at an error and when the reader leaves. */
async function streamFile(path: string, range: ByteRange): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const handle = await open(path, "r");
  let at = range.start;
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          const piece = new Uint8Array(Math.min(pieceBytes, range.end - at));
          const bytesRead = piece.length === 0 ? 0 : (await handle.read(piece, 0, piece.length, at)).bytesRead;
          at += bytesRead;
          if (bytesRead > 0) controller.enqueue(piece.subarray(0, bytesRead));
          if (bytesRead > 0 && at < range.end) return;
          await handle.close();
          if (at < range.end) controller.error(new Error(`${path} ended at byte ${at}, expected ${range.end}`));
          else controller.close();
        } catch (error) {
          await handle.close().catch(() => undefined);
          controller.error(error);
        }
      },
      cancel: () => handle.close(),
    },
    { highWaterMark: 0 },
  );
}

const objectsIn = (folder: string): string => join(folder, "objects");
const pathIn = (folder: string, sha256: string): string => join(objectsIn(folder), sha256.slice(0, 2), sha256);

/** Reads the objects in a folder, which may be another thread's to write. */
export function readFileObjects(folder: string): ObjectReader {
  const find = async (sha256: string): Promise<StoredObject | undefined> => {
    const facts = isObjectName(sha256) ? await fileFacts(pathIn(folder, sha256)) : undefined;
    return facts && { sha256, bytes: facts.bytes, storedAtMs: facts.changedAtMs };
  };
  return {
    find,
    async read(sha256, range) {
      const stored = await find(sha256);
      return stored && streamFile(pathIn(folder, sha256), range ?? { start: 0, end: stored.bytes });
    },
  };
}

/**
 * Opens the object store in a folder, made when missing, and removes what a crash left half written. One process writes to a folder.
 * Throws `storage`.
 */
export async function openFileObjects(folder: string, options: FileObjectsOptions = {}): Promise<ObjectStore> {
  const operations = options.operations ?? nodeFileOperations;
  const nowMs = options.nowMs ?? Date.now;
  const objectsFolder = objectsIn(folder);
  const uploadsFolder = join(folder, "uploads");
  const pathOf = (sha256: string): string => pathIn(folder, sha256);
  try {
    for (const made of [objectsFolder, uploadsFolder]) await operations.makeFolder(made);
    for (const name of await namesIn(uploadsFolder)) {
      if (name.endsWith(temporarySuffix)) await operations.remove(join(uploadsFolder, name));
    }
  } catch (error) {
    throw storageError(error, folder);
  }
  const reader = readFileObjects(folder);
  const { find } = reader;
  /** Makes a written and synced file the object of that name. */
  const adopt = async (path: string, sha256: string): Promise<void> => {
    const target = pathOf(sha256);
    await operations.makeFolder(join(target, ".."));
    await operations.rename(path, target);
    await operations.syncFolder(join(target, ".."));
    await operations.syncFolder(objectsFolder);
  };
  async function* list(): AsyncIterable<StoredObject> {
    for (const prefix of [...(await namesIn(objectsFolder))].sort()) {
      for (const name of [...(await namesIn(join(objectsFolder, prefix)))].sort()) {
        const stored = await find(name);
        if (stored) yield stored;
      }
    }
  }
  const uploads = await openUploads({
    folder: uploadsFolder,
    operations,
    nowMs,
    find,
    adopt,
    maxUploadsPerOwner: options.maxUploadsPerOwner ?? 16,
    freeBytes: options.freeBytes ?? freeBytes,
    reserveBytes: options.reserveBytes ?? 2 ** 28,
  });
  return {
    async put(source, expected) {
      const temporary = join(uploadsFolder, `${randomBytes(8).toString("hex")}${temporarySuffix}`);
      try {
        await writeFile(operations, temporary, source instanceof Uint8Array ? [source] : source);
        const sha256 = await sha256HexOfFile(temporary, "new object");
        if (expected !== undefined && expected !== sha256) throw wrongContent(expected, sha256);
        const known = await find(sha256);
        if (known) {
          await operations.remove(temporary);
          return known;
        }
        await adopt(temporary, sha256);
        return (await find(sha256))!;
      } catch (error) {
        await operations.remove(temporary).catch(() => undefined);
        throw storageError(error, temporary);
      }
    },
    ...reader,
    list,
    async remove(sha256) {
      if (!(await find(sha256))) return false;
      await operations.remove(pathOf(sha256));
      return true;
    },
    startUpload: uploads.start,
    continueUpload: uploads.proceed,
    async collect({ keep, nowMs: now, graceMs }) {
      const givenUp = await uploads.collect(now, graceMs);
      const removed: StoredObject[] = [];
      for await (const stored of list()) {
        // Asked last: what is referred to may have changed while the others were looked at.
        if (now - stored.storedAtMs < graceMs || keep(stored.sha256)) continue;
        await operations.remove(pathOf(stored.sha256));
        removed.push(stored);
      }
      const bytes = removed.reduce((sum, stored) => sum + stored.bytes, givenUp.bytes);
      return { objects: removed.map(({ sha256 }) => sha256), uploads: givenUp.count, bytes };
    },
    close: uploads.close,
    [Symbol.asyncDispose]: uploads.close,
  };
}

async function writeFile(
  operations: FileOperations,
  path: string,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const handle = await operations.openWrite(path);
  try {
    let at = 0;
    for await (const piece of source) {
      await handle.write(piece, at);
      at += piece.length;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
