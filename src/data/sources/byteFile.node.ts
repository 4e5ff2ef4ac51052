/** Bytes that are read by place, never whole: a file, or a stretch of one. */
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import { SheafError } from "../../util/errors.ts";
import { reasonOf } from "./files.node.ts";

export interface ByteFile {
  /** For error messages. */
  readonly where: string;
  readonly size: number;
  /** The first bytes, 64 KiB or all there are. */
  readonly head: Uint8Array;
  /** `length` bytes from `position`, in memory of their own. Throws `data` when they are not there. */
  read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Closing twice is fine. */
  close(): Promise<void>;
}

/** How many bytes `head` holds at most. */
export const headBytes: number = 64 * 1024;

/** Reads by place in an open file. Throws `data`, naming `where`, when bytes are missing or cannot be read. */
export async function readAt(handle: FileHandle, where: string, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let done = 0;
  try {
    while (done < length) {
      const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
  } catch (error) {
    throw new SheafError("data", `${where} cannot be read (${reasonOf(error)}); check the disk and open it again.`, { cause: error });
  }
  if (done < length) {
    throw new SheafError(
      "data",
      `${where}: expected ${length} bytes at ${position}, got ${done}: it is cut short; put the complete file there.`,
    );
  }
  return bytes;
}

/** Opens a file for reading by place. Throws `data`, naming it. */
export async function openByteFile(path: string): Promise<ByteFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (error) {
    throw new SheafError("data", `${path} cannot be opened (${reasonOf(error)}); check that it exists and its permissions.`, {
      cause: error,
    });
  }
  try {
    const { size } = await handle.stat();
    const head = await readAt(handle, path, 0, Math.min(size, headBytes));
    let closed: Promise<void> | undefined;
    const close = (): Promise<void> => {
      closed ??= handle.close();
      return closed;
    };
    return { where: path, size, head, read: (position, length) => readAt(handle, path, position, length), close };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
