/** What all kinds of own data need of the file system: paths looked at, media files told by extension, fingerprints, reading with errors that name the path. */
import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { SheafError } from "../../util/errors.ts";

/** Files of samples that come one to a file. */
export type Medium = "image" | "audio";

/** Extensions by medium, compared in lower case. */
export const mediaExtensions: Readonly<Record<Medium, readonly string[]>> = {
  image: [".jpg", ".jpeg", ".png", ".webp"],
  audio: [".wav"],
};

/** What to call files of a medium in a sentence. */
export const mediaNames: Readonly<Record<Medium, string>> = { image: "images (JPEG, PNG or WebP)", audio: "WAV files" };

/** The medium that a file's extension tells; undefined for other files. */
export function mediumOf(path: string): Medium | undefined {
  const extension = extname(path).toLowerCase();
  return (["image", "audio"] as const).find((medium) => mediaExtensions[medium].includes(extension));
}

/** Hidden files and folders, and those that packers leave behind, are never part of a data set. */
export function isHidden(name: string): boolean {
  return name.startsWith(".") || name === "__MACOSX";
}

/** Order by code units, the same on every machine and in every language. */
export function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The reason of a failed call, short: the code of a system error, else the first line of its message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error as NodeJS.ErrnoException).code ?? error.message.split("\n")[0] ?? "";
}

/** Ends a listing when the caller asked for it. Throws `interrupted`. */
export function throwIfStopped(signal: AbortSignal | undefined, path: string): void {
  if (signal?.aborted) throw new SheafError("interrupted", `Reading ${path} was stopped; nothing was changed.`);
}

/** What lies at a path, links followed; undefined when nothing does. Throws `data` when it cannot be looked at. */
export async function statPath(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const code = reasonOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new SheafError("data", `Cannot look at ${path} (${code}); check its permissions.`, { cause: error });
  }
}

/** Bytes of a file. Throws `data`, naming it. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new SheafError("data", `${path} cannot be read (${reasonOf(error)}); check that it exists and its permissions.`, {
      cause: error,
    });
  }
}

/** Where a file is and what tells one state of it from another. */
export interface FileState {
  /** Relative to the root of the data set, with forward slashes on every machine. */
  readonly relative: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** The state of a file for fingerprints. */
export function fileState(relative: string, { size, mtimeMs }: Pick<Stats, "size" | "mtimeMs">): FileState {
  return { relative: relative.replaceAll("\\", "/"), bytes: size, modifiedMs: Math.floor(mtimeMs) };
}

/** SHA-256 (hexadecimal) over the kind of data, the states of files and further text that decides what the entries are. */
export function fingerprintOf(kind: string, files: Iterable<FileState>, further: Iterable<string> = []): string {
  const hash = createHash("sha256");
  // A null byte stands in no file name, so that no two lists make the same text.
  hash.update(`${kind}\0`);
  for (const { relative, bytes, modifiedMs } of files) hash.update(`${relative}\0${bytes}\0${modifiedMs}\0`);
  for (const text of further) hash.update(`\0${text}\0`);
  return hash.digest("hex");
}

/** The file that names the classes of numbered labels, one name a line in the order of the numbers. */
export const classNamesFile = "classes.txt";

/** Names in the `classes.txt` of a folder; undefined when it has none. Throws `data` for an empty or repeated name. */
export async function readClassNames(folder: string): Promise<readonly string[] | undefined> {
  const path = join(folder, classNamesFile);
  if (!(await statPath(path))?.isFile()) return undefined;
  const lines = new TextDecoder()
    .decode(await readBytes(path))
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => line.trim());
  const wrong = lines.findIndex((line, i) => line === "" || lines.indexOf(line) < i);
  if (wrong >= 0) {
    const got = lines[wrong] === "" ? "an empty line" : `"${lines[wrong]}" a second time`;
    throw new SheafError("data", `${path} line ${wrong + 1}: expected one class name a line, each once, got ${got}; correct the file.`);
  }
  return lines;
}
