/** A backup back into a data folder: everything is checked in a folder beside it, which is then renamed; one that is there is never touched. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, open, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { list, type ReadEntry } from "tar";
import { freeBytes } from "../coordinator/fileOperations.node.ts";
import { referencedObjects } from "../coordinator/spec.ts";
import { SheafError } from "../util/errors.ts";
import { readError, storageError, syncFolder } from "../util/files.node.ts";
import {
  type BackupContents,
  contentsOf,
  logFile,
  type Manifest,
  manifestFile,
  manifestSchema,
  objectOf,
  objectPath,
  readLog,
} from "./backupFormat.ts";

export interface RestoreOptions {
  readonly file: string;
  /** Data folder to make; nothing, or an empty folder, may be there. */
  readonly store: string;
  readonly signal?: AbortSignal;
}

export interface Restored extends BackupContents {
  readonly store: string;
}

/** Of a backup of a hundred thousand objects it is a tenth of that. */
const largestManifestBytes = 2 ** 28;

const broken = (file: string, why: string, cause?: unknown): SheafError =>
  new SheafError("corrupt", `${resolve(file)} is not a whole backup: ${why}; take another one.`, { cause });

/** Whether the archive begins as `sheaf backup` wrote it. Compressed archives, which could swell, are none. */
async function checkStart(file: string): Promise<void> {
  const start = new Uint8Array(512);
  try {
    const handle = await open(file, "r");
    await handle.read(start, 0, start.length, 0).finally(() => handle.close());
  } catch (error) {
    throw readError(error, file, "backup");
  }
  const text = (from: number, to: number): string => new TextDecoder("latin1").decode(start.subarray(from, to));
  if (text(0, 14) !== `${manifestFile}\0` || text(257, 262) !== "ustar")
    throw new SheafError("data", `${resolve(file)} is not a backup of a coordinator; name a file that \`sheaf backup\` wrote.`);
}

/** Takes the files of an archive one after another into a folder, each checked against the manifest. */
class Taker {
  readonly #folder: string;
  readonly #file: string;
  #manifest: Manifest | undefined;
  readonly #missing = new Map<string, Manifest["files"][number]>();
  constructor(file: string, folder: string) {
    this.#file = file;
    this.#folder = folder;
  }

  async take(entry: ReadEntry): Promise<void> {
    if (entry.type !== "File") throw broken(this.#file, `it holds ${entry.path}, which is no plain file but a ${entry.type}`);
    if (this.#manifest === undefined) return await this.#takeManifest(entry);
    const listed = this.#missing.get(entry.path);
    if (!listed) throw broken(this.#file, `it holds ${entry.path}, which its manifest does not list`);
    if (entry.size !== listed.bytes) throw broken(this.#file, `${entry.path} has ${entry.size} bytes, its manifest says ${listed.bytes}`);
    this.#missing.delete(entry.path);
    // Safe to join: the manifest lets only names of a data folder pass.
    const path = join(this.#folder, ...entry.path.split("/"));
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const handle = await open(path, "wx", 0o600);
    const hash = createHash("sha256");
    try {
      for await (const piece of entry) {
        hash.update(piece);
        await handle.writeFile(piece);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (hash.digest("hex") !== listed.sha256) throw broken(this.#file, `${entry.path} is not what its manifest says`);
  }

  async #takeManifest(entry: ReadEntry): Promise<void> {
    if (entry.path !== manifestFile || entry.size > largestManifestBytes) throw broken(this.#file, "it does not begin with its manifest");
    const pieces: Uint8Array[] = [];
    for await (const piece of entry) pieces.push(piece);
    try {
      this.#manifest = manifestSchema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(pieces))));
    } catch (cause) {
      throw broken(this.#file, "its manifest is none, or of a newer Sheaf", cause);
    }
    for (const file of this.#manifest.files) this.#missing.set(file.path, file);
    const wanted = this.#manifest.files.reduce((sum, { bytes }) => sum + bytes, 0);
    const free = await freeBytes(this.#folder);
    if (wanted > free)
      throw new SheafError(
        "storage",
        `The backup needs ${wanted} bytes in ${dirname(this.#folder)}, where ${free} are free; free some space.`,
      );
  }

  /** What was taken; throws where something is missing. */
  end(): Manifest {
    const [missing] = this.#missing.keys();
    if (!this.#manifest) throw broken(this.#file, "it is empty");
    if (missing !== undefined) throw broken(this.#file, `it ends without ${missing}`);
    if (!this.#manifest.files.some(({ path }) => path === logFile)) throw broken(this.#file, "it has no log");
    return this.#manifest;
  }
}

/** Reads the archive to its end; the first thing that is wrong with it is thrown. */
async function unpack({ file, signal }: RestoreOptions, folder: string): Promise<Manifest> {
  const taker = new Taker(file, folder);
  let failure: unknown;
  let work: Promise<void> = Promise.resolve();
  const onReadEntry = (entry: ReadEntry): void => {
    work = work.then(async () => {
      try {
        if (failure === undefined) {
          signal?.throwIfAborted();
          await taker.take(entry);
        }
      } catch (error) {
        failure ??= error;
      }
      // What is not taken must be read all the same, or the parser waits.
      entry.resume();
    });
  };
  try {
    await list({ file, strict: true, noResume: true, onReadEntry });
    await work;
  } catch (error) {
    await work;
    failure ??= broken(file, `the archive is cut off or damaged (${error instanceof Error ? error.message : String(error)})`, error);
  }
  if (failure !== undefined) throw failure;
  return taker.end();
}

/** Checks that log and objects belong together, as `sheaf audit verify` and the coordinator would at the start. */
async function check(file: string, folder: string, manifest: Manifest): Promise<BackupContents> {
  const { state, head } = await readLog(join(folder, logFile)).catch((error: unknown) => {
    throw error instanceof SheafError && error.code !== "storage" ? error : broken(file, "its log cannot be read", error);
  });
  if (head.sequence !== manifest.head.sequence || head.hash !== manifest.head.hash)
    throw broken(file, `its log ends at entry ${head.sequence}, its manifest says ${manifest.head.sequence}`);
  const objects = new Set(manifest.files.flatMap(({ path }) => objectOf(path) ?? []));
  for (const { path, sha256 } of manifest.files) {
    if ((objectOf(path) ?? sha256) !== sha256) throw broken(file, `${path} is not what its name says`);
  }
  for (const name of referencedObjects(state))
    if (!objects.has(name)) throw broken(file, `it lacks ${objectPath(name)}, of which its log speaks`);
  return contentsOf(state, head, objects.size);
}

/**
 * Makes a data folder from a backup. Throws `usage` where something is in the way, `data` for a file that is no backup, `corrupt` for one that is damaged,
 * and `storage`; then nothing is left behind.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { file, store, signal } = options;
  const target = resolve(store);
  if (existsSync(target) && !((await stat(target)).isDirectory() && (await readdir(target)).length === 0)) {
    throw new SheafError(
      "usage",
      `${target} is there already, and a backup replaces nothing; move it away, or name another folder with --store.`,
    );
  }
  await checkStart(file);
  let staging: string | undefined;
  try {
    await mkdir(dirname(target), { recursive: true });
    staging = await mkdtemp(join(dirname(target), `.${basename(target)}-restoring-`));
    const contents = await check(file, staging, await unpack(options, staging));
    await chmod(staging, 0o700);
    if (existsSync(target)) await rmdir(target);
    await rename(staging, target);
    staging = undefined;
    await syncFolder(dirname(target));
    return { store, ...contents };
  } catch (error) {
    if (signal?.aborted) throw new SheafError("interrupted", "The restoration was stopped; nothing was written.");
    throw storageError(error, target);
  } finally {
    if (staging !== undefined) await rm(staging, { recursive: true, force: true });
  }
}
