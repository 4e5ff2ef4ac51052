/** Files in the origin private file system, by synchronous handles, which only workers have. Names may have folders in them. */
import { SheafError } from "../../src/util/errors.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const isMissing = (error: unknown): boolean => error instanceof DOMException && error.name === "NotFoundError";

function failure(error: unknown, name: string): SheafError {
  const reason = error instanceof Error ? error.message : String(error);
  const full = error instanceof DOMException && error.name === "QuotaExceededError";
  return new SheafError(
    "storage",
    full
      ? `There is no room left for ${name} in this browser's storage; free some and try again.`
      : `This browser could not write ${name}: ${reason}; a private window may keep nothing.`,
    { cause: error },
  );
}

/** A folder of private files. */
export interface PrivateFiles {
  /** Undefined where there is none. */
  read(name: string): Promise<Bytes | undefined>;
  /** Bytes of a file; 0 where there is none. */
  size(name: string): Promise<number>;
  /** Replaces from `at` on and cuts the file there; a crash may leave a part. Throws `storage`. */
  write(name: string, bytes: Uint8Array, at?: number): Promise<void>;
  /** Deletes a file or folder; nothing happens where there is none. */
  remove(name: string): Promise<void>;
  /** Names of the files of a folder. */
  list(folder: string): Promise<readonly string[]>;
}

/** Opens the private files below `root`. */
export function openPrivateFiles(root: string): PrivateFiles {
  const folderOf = async (names: readonly string[], create: boolean): Promise<FileSystemDirectoryHandle> => {
    let folder = await navigator.storage.getDirectory();
    for (const name of [root, ...names]) folder = await folder.getDirectoryHandle(name, { create });
    return folder;
  };
  const split = (name: string): readonly [readonly string[], string] => {
    const parts = name.split("/");
    return [parts.slice(0, -1), parts.at(-1) as string];
  };
  const handleOf = async (name: string, create: boolean): Promise<FileSystemSyncAccessHandle> => {
    const [folders, file] = split(name);
    return (await (await folderOf(folders, create)).getFileHandle(file, { create })).createSyncAccessHandle();
  };
  const ifThere = async <T>(act: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await act();
    } catch (error) {
      if (isMissing(error)) return otherwise;
      throw error;
    }
  };
  // A file has one handle at a time, and whoever wants another is refused, so all wait for their turn.
  let last: Promise<unknown> = Promise.resolve();
  const withHandle = <T>(name: string, create: boolean, use: (handle: FileSystemSyncAccessHandle) => T): Promise<T> => {
    const turn = last.then(async () => {
      const handle = await handleOf(name, create);
      try {
        return use(handle);
      } finally {
        handle.close();
      }
    });
    last = turn.catch(() => undefined);
    return turn;
  };
  return {
    read: (name) =>
      ifThere<Bytes | undefined>(
        () =>
          withHandle(name, false, (handle) => {
            const bytes = new Uint8Array(handle.getSize());
            handle.read(bytes, { at: 0 });
            return bytes;
          }),
        undefined,
      ),
    size: (name) => ifThere(() => withHandle(name, false, (handle) => handle.getSize()), 0),
    async write(name, bytes, at = 0) {
      try {
        await withHandle(name, true, (handle) => {
          handle.truncate(at);
          if (handle.write(bytes, { at }) !== bytes.byteLength) throw new DOMException("too little room", "QuotaExceededError");
          handle.flush();
        });
      } catch (error) {
        throw failure(error, name);
      }
    },
    remove: (name) =>
      ifThere(async () => {
        const [folders, file] = split(name);
        await (await folderOf(folders, false)).removeEntry(file, { recursive: true });
      }, undefined),
    list: (folder) =>
      ifThere<readonly string[]>(async () => {
        const names: string[] = [];
        for await (const name of (await folderOf(folder.split("/"), false)).keys()) names.push(name);
        return names;
      }, []),
  };
}
