/** Where a data set's files are: the places that are looked at, in order. Reads folders, not the data. */
import { readdir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { SheafError } from "../util/errors.ts";
import type { ArchiveSource, DatasetInfo } from "./catalog.ts";
import { datasetCatalog, datasetName } from "./catalog.ts";

/** The environment variables that matter: SHEAF_DATA, XDG_CACHE_HOME, HOME. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface FindOptions {
  /** A folder named by the user; looked at first. */
  readonly dir?: string | undefined;
  /** `process.env` unless given. */
  readonly env?: Environment | undefined;
}

/** Where a set was found: `folder` holds the data files; a generated set has none. */
export type DatasetLocation =
  | { readonly origin: "option" | "environment" | "cache"; readonly folder: string }
  | { readonly origin: "generated" };

/** A place to look at. */
export interface Place {
  readonly origin: "option" | "environment" | "cache";
  readonly path: string;
}

/** `$XDG_CACHE_HOME/sheaf`, or `~/.cache/sheaf`; a relative XDG_CACHE_HOME is ignored, as its specification demands. */
export function cacheFolder(env: Environment = process.env): string {
  const xdg = env.XDG_CACHE_HOME;
  return xdg && isAbsolute(xdg) ? join(xdg, "sheaf") : join(env.HOME || homedir(), ".cache", "sheaf");
}

/** The places a set is looked for in, in order: the given folder, `$SHEAF_DATA`, the cache folder. */
export function placesToLook({ dir, env = process.env }: FindOptions): Place[] {
  return [
    ...(dir ? [{ origin: "option", path: dir } as const] : []),
    ...(env.SHEAF_DATA ? [{ origin: "environment", path: env.SHEAF_DATA } as const] : []),
    { origin: "cache", path: cacheFolder(env) },
  ];
}

/** Names in a folder; undefined when there is no such folder. Throws `data` when it cannot be read. */
export async function listFolder(path: string): Promise<string[] | undefined> {
  try {
    return await readdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new SheafError("data", `Cannot read the folder ${path} (${code}); check its permissions.`, { cause: error });
  }
}

async function folderIn(path: string, archive: ArchiveSource): Promise<string | undefined> {
  const inner = join(path, archive.folder);
  if ((await listFolder(inner)) !== undefined) return inner;
  const names = await listFolder(path);
  return names?.some((name) => archive.files.includes(name)) ? path : undefined;
}

/**
 * Looks for a data set without loading it: in `dir`, then `$SHEAF_DATA`, then the cache folder, each of which may hold the set's folder
 * (`cifar-10-batches-bin`, `cifar-100-binary`) or be it. Undefined when it is nowhere; a generated set is always there.
 * Throws `config` for an unknown name and `data` when `dir` does not exist.
 */
export async function findDataset(name: string, options: FindOptions = {}): Promise<DatasetLocation | undefined> {
  const { archive }: DatasetInfo = datasetCatalog[datasetName(name)];
  if (!archive) return { origin: "generated" };
  if (options.dir) {
    const isFolder = await stat(options.dir).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) throw new SheafError("data", `The data folder ${options.dir} does not exist or is no folder; check the path.`);
  }
  for (const { origin, path } of placesToLook(options)) {
    const folder = await folderIn(path, archive);
    if (folder !== undefined) return { origin, folder };
  }
  return undefined;
}
