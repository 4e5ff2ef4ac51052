/** Files that survive: written whole or not at all, on the disk when the promise resolves, and failures as one sentence. */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SheafError } from "./errors.ts";

const storageCauses: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space or choose another folder",
  EFBIG: "the file would be larger than is allowed; raise the limit (ulimit -f) or choose another file system",
  EDQUOT: "the disk quota is used up; free some space or choose another folder",
  EACCES: "permission is denied; change the permissions or choose another folder",
  EPERM: "the operation is not permitted; change the permissions or choose another folder",
  EROFS: "the file system is read-only; choose a folder on another one",
  EISDIR: "a folder of that name is in the way; remove it or choose another name",
  ENOTDIR: "a part of the path is a file, not a folder; choose another path",
  ENOENT: "the folder does not exist and cannot be made; choose another path",
  EMFILE: "too many files are open; raise the limit (ulimit -n) and try again",
  ENAMETOOLONG: "the name is too long; choose a shorter one",
  EIO: "the disk reported an input/output error; check the disk",
};

const readCauses: Readonly<Record<string, string>> = {
  ENOENT: "no such file; check the path",
  ENOTDIR: "a part of the path is a file, not a folder; check the path",
  EISDIR: "it is a folder, not a file; name a file in it",
  EACCES: "permission is denied; change the permissions or name another file",
  EPERM: "permission is denied; change the permissions or name another file",
};

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");

const causeOf = (error: unknown, causes: Readonly<Record<string, string>>): string =>
  causes[codeOf(error)] ?? (error instanceof Error ? error.message : String(error));

/** The `storage` error for a failed write: names the path, the cause and what to do. */
export function storageError(error: unknown, path: string): SheafError {
  if (error instanceof SheafError) return error;
  return new SheafError("storage", `Cannot write ${resolve(path)}: ${causeOf(error, storageCauses)}.`, { cause: error });
}

/** The `data` error for a failed read of `what` (such as "configuration"): names the path, the cause and what to do. */
export function readError(error: unknown, path: string, what: string): SheafError {
  if (error instanceof SheafError) return error;
  return new SheafError("data", `Cannot read ${what} from ${resolve(path)}: ${causeOf(error, readCauses)}.`, { cause: error });
}

/** Puts a folder's own entries on the disk: a renamed or new file is safe only then. Windows cannot open folders, and needs no such step. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } catch (error) {
    if (codeOf(error) !== "EINVAL") throw error;
  } finally {
    await handle.close();
  }
}

async function writeDurably(path: string, data: Uint8Array | string, mode: number): Promise<void> {
  const handle = await open(path, "wx", mode);
  try {
    await handle.writeFile(data);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes a file so that a reader, even after a crash, finds the old content or the new and nothing between. Missing folders are made.
 * When the promise resolves the content is on the disk. `mode` is who may read it, less the umask; 0o600 for secrets.
 * Throws `storage`, and leaves no temporary file behind.
 */
export async function writeFileAtomic(path: string, data: Uint8Array | string, mode = 0o666): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`);
  try {
    await mkdir(folder, { recursive: true });
    await writeDurably(temporary, data, mode);
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    // The first failure is the one to report; a folder that vanished cannot be cleaned.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw storageError(error, path);
  }
}

/**
 * Removes what `writeFileAtomic` left in a folder when its process was killed: of all files there, or of the one that is named. Only for whoever alone writes
 * there. A folder that is not there is fine; throws `storage`.
 */
export async function removeTemporaries(folder: string, name?: string): Promise<void> {
  const isTemporary = (entry: string): boolean =>
    /^\..+\.\d+\.[0-9a-f]{8}\.tmp$/.test(entry) && (name === undefined || entry.startsWith(`.${name}.`));
  try {
    for (const entry of await readdir(folder)) if (isTemporary(entry)) await rm(join(folder, entry), { force: true });
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw storageError(error, folder);
  }
}

/** The bytes of a file. `what` names it in the error, for instance "checkpoint". Throws `data` when it is missing or cannot be read. */
export async function readFileChecked(path: string, what: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const bytes = await readFile(path);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    throw readError(error, path, what);
  }
}

/** A text file that grows by lines. Each line is there whole or not at all. */
export interface AppendFile extends AsyncDisposable {
  /**
   * Adds one line (without its line feed), after those of earlier calls; it is on the disk when the promise resolves.
   * Throws `storage`; the file then ends at the last whole line.
   */
  append(line: string): Promise<void>;
  /** Waits for pending lines and closes; twice is fine. */
  close(): Promise<void>;
}

const lineFeed = 0x0a;

/** Length of the file up to and with its last line feed. */
async function wholeLinesBytes(handle: FileHandle): Promise<number> {
  const piece = new Uint8Array(65536);
  let end = (await handle.stat()).size;
  while (end > 0) {
    const start = Math.max(0, end - piece.length);
    const { bytesRead } = await handle.read(piece, 0, end - start, start);
    const last = piece.subarray(0, bytesRead).lastIndexOf(lineFeed);
    if (last >= 0) return start + last + 1;
    end = start;
  }
  return 0;
}

/**
 * Opens a log of lines for appending, and makes it and its folders when missing. A last line that a crash cut short, and whose
 * `append` therefore never resolved, is removed. Throws `storage`.
 */
export async function openAppend(path: string): Promise<AppendFile> {
  let handle: FileHandle | undefined;
  let sizeBytes = 0;
  try {
    await mkdir(dirname(path), { recursive: true });
    handle = await open(path, "a+");
    sizeBytes = await wholeLinesBytes(handle);
    if ((await handle.stat()).size > sizeBytes) await handle.truncate(sizeBytes);
    await syncFolder(dirname(path));
  } catch (error) {
    await handle?.close();
    throw storageError(error, path);
  }
  return appendFile(path, handle, sizeBytes);
}

/** `sizeBytes` is the length of the whole lines that `handle` holds already. */
function appendFile(path: string, handle: FileHandle, sizeBytes: number): AppendFile {
  let wholeBytes = sizeBytes;
  let pending: Promise<void> = Promise.resolve();
  let closed: Promise<void> | undefined;
  const write = async (line: string): Promise<void> => {
    const bytes = new TextEncoder().encode(`${line}\n`);
    try {
      await handle.appendFile(bytes);
      await handle.datasync();
      wholeBytes += bytes.length;
    } catch (error) {
      await handle.truncate(wholeBytes).catch(() => undefined);
      throw storageError(error, path);
    }
  };
  const close = (): Promise<void> => {
    closed ??= pending.then(() => handle.close());
    return closed;
  };
  return {
    append(line) {
      if (line.includes("\n")) {
        return Promise.reject(new SheafError("internal", `A line for ${path} must not contain a line feed, got ${JSON.stringify(line)}.`));
      }
      if (closed) return Promise.reject(new SheafError("internal", `${path} is closed; append before close().`));
      const written = pending.then(() => write(line));
      pending = written.catch(() => undefined);
      return written;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
