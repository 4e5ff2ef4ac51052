/** Files that the person gives, sorted into the classes of a run by the names of the folders that they lie in. */
import type { Brought } from "../device/messages.ts";

/** A file with its path within what was given. */
export interface PathFile {
  readonly path: string;
  readonly file: Blob;
}

export interface Sorted {
  readonly brought: readonly Brought[];
  /** Folders whose names are no class of the run, with how many files lie in each. */
  readonly unknown: ReadonlyMap<string, number>;
}

/** What samples are made of. */
export type Medium = "image" | "audio";

const endings: { readonly [M in Medium]: RegExp } = { image: /\.(png|jpe?g|webp|gif|bmp|avif)$/i, audio: /\.wav$/i };

/** Whether a file's name says that it is of a medium; hidden files are not. */
const isOf = (medium: Medium, path: string): boolean => endings[medium].test(path) && !/(^|\/)[._]/.test(path);

/**
 * Each file goes to the class whose name the innermost fitting folder has, upper and lower case alike. Files of other kinds are passed over.
 * @example sortByFolder([{ path: "pets/cat/1.png", file }], ["cat", "dog"], "image")
 */
export function sortByFolder(files: readonly PathFile[], classNames: readonly string[], medium: Medium): Sorted {
  const nameOf = new Map(classNames.map((name) => [name.toLowerCase(), name]));
  const brought: Brought[] = [];
  const unknown = new Map<string, number>();
  for (const { path, file } of files) {
    if (!isOf(medium, path)) continue;
    const folders = path.split("/").slice(0, -1);
    const className = folders.reverse().flatMap((folder) => nameOf.get(folder.toLowerCase()) ?? [])[0];
    const folder = folders[0] ?? "";
    if (className === undefined) unknown.set(folder, (unknown.get(folder) ?? 0) + 1);
    else brought.push({ className, file, name: path });
  }
  return { brought, unknown };
}

/** Files of one class. */
export function ofClass(files: readonly PathFile[], className: string, medium: Medium): readonly Brought[] {
  return files.filter(({ path }) => isOf(medium, path)).map(({ path, file }) => ({ className, file, name: path }));
}

/** What an `<input type="file">` holds. */
export function filesOf(list: FileList | null): readonly PathFile[] {
  return [...(list ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

async function filesBelow(entry: FileSystemEntry, path: string): Promise<readonly PathFile[]> {
  const here = path === "" ? entry.name : `${path}/${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path: here, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const inner: FileSystemEntry[] = [];
  // A reader gives some at a time, and none when there are no more.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    inner.push(...some);
  }
  return (await Promise.all(inner.map((each) => filesBelow(each, here)))).flat();
}

/** All files of what was dropped, folders opened. */
export async function droppedFiles({ items }: DataTransfer): Promise<readonly PathFile[]> {
  // Entries must be taken before anything is awaited.
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  return (await Promise.all(entries.map((entry) => filesBelow(entry, "")))).flat();
}
