/** The few file operations that the object store is made of, as a seam: a test cuts the power between any two of them. */
import { mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { syncFolder } from "../util/files.node.ts";

/** A file open for writing. */
export interface WriteHandle {
  /** Writes all bytes at the position. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(bytes: number): Promise<void>;
  /** The content is on the disk when the promise resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileOperations {
  makeFolder(path: string): Promise<void>;
  /** Opens for writing, and makes an empty file when there is none. */
  openWrite(path: string): Promise<WriteHandle>;
  rename(from: string, to: string): Promise<void>;
  /** Nothing to remove is fine. */
  remove(path: string): Promise<void>;
  /** Puts the folder's entries on the disk. */
  syncFolder(path: string): Promise<void>;
}

async function writeAll(handle: Awaited<ReturnType<typeof open>>, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
}

/** The operations of Node. */
export const nodeFileOperations: FileOperations = {
  makeFolder: async (path) => void (await mkdir(path, { recursive: true })),
  async openWrite(path) {
    // "a" would ignore positions and "w" would cut what arrived before a restart.
    const handle = await open(path, "r+").catch(() => open(path, "wx+", 0o600));
    return {
      write: (bytes, position) => writeAll(handle, bytes, position),
      truncate: (bytes) => handle.truncate(bytes),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  syncFolder,
};

/** Names in a folder; none when it does not exist. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  return await readdir(folder).catch(() => []);
}

/** Size and time of change of a file; undefined when there is none. */
export async function fileFacts(path: string): Promise<{ readonly bytes: number; readonly changedAtMs: number } | undefined> {
  const facts = await stat(path).catch(() => undefined);
  return facts?.isFile() ? { bytes: facts.size, changedAtMs: facts.mtimeMs } : undefined;
}

/** Bytes that this user may still write to the file system of a folder. */
export async function freeBytes(folder: string): Promise<number> {
  const facts = await statfs(folder);
  return facts.bavail * facts.bsize;
}
