/** A coordinator's data folder, or one run of it, in one file, while it is at work or not: the log as it is at one moment, and the objects that it speaks of. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { create, replace } from "tar";
import { sha256 } from "../coordinator/bytes.ts";
import { parseEntry } from "../coordinator/chain.ts";
import { openLive } from "../coordinator/live.ts";
import { planRun } from "../coordinator/planning.ts";
import { referencedObjects } from "../coordinator/spec.ts";
import { openSqliteStores } from "../coordinator/sqliteLog.node.ts";
import { isOver } from "../coordinator/state.ts";
import { sheafVersion } from "../run/machine.ts";
import { SheafError } from "../util/errors.ts";
import { storageError, syncFolder, writeFileAtomic } from "../util/files.node.ts";
import { sha256HexOfFile } from "../util/hash.node.ts";
import { canonicalJson } from "../util/json.ts";
import {
  type BackupContents,
  type BackupFile,
  contentsOf,
  isAllowed,
  logFile,
  type Manifest,
  manifestFile,
  objectOf,
  objectPath,
  readLog,
} from "./backupFormat.ts";

export interface BackupOptions {
  /** The coordinator's data folder. */
  readonly store: string;
  /** File to write, where nothing is. */
  readonly file: string;
  /** Name or id of the one run that is wanted. The others stand in the copy as cancelled and archived. */
  readonly run?: string;
  /** Stops between two files. */
  readonly signal?: AbortSignal;
}

export interface Backup extends BackupContents {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** How often the log is copied anew because objects of the copy were removed meanwhile. */
const tries = 3;

/** Copies a log without all runs but one: they are cancelled and archived, as its administrator would have done. `between` is a file to work in. */
async function copyOnly(from: string, wanted: string, between: string, to: string): Promise<void> {
  await copyAll(from, between);
  await using stores = await openSqliteStores(between, parseEntry);
  await using live = await openLive({ log: stores.log, sha256, planner: planRun, newId: randomUUID, now: Date.now });
  const runs = [...live.state.runs.values()];
  const found = runs.filter(({ runId, definition }) => runId === wanted || definition.name === wanted);
  if (found.length !== 1) {
    const names = runs.map(({ runId, definition }) => `${definition.name} (${runId})`).join(", ") || "none";
    throw new SheafError("usage", `${found.length} runs are called "${wanted}"; name one by its id. There are: ${names}.`);
  }
  for (const run of runs) {
    if (run === found[0]) continue;
    if (!isOver(run)) await live.do({ type: "cancelRun", runId: run.runId });
    await live.do({ type: "archiveRun", runId: run.runId });
  }
  await stores.backup(to);
}

async function copyAll(from: string, to: string): Promise<void> {
  await using stores = await openSqliteStores(from, parseEntry, { onlyRead: true });
  await stores.backup(to);
}

/** Size and hash of a file; undefined where it is not there. An object whose content is another than its name is `corrupt`. */
async function factsOf(folder: string, path: string): Promise<BackupFile | undefined> {
  const file = join(folder, path);
  if (!existsSync(file)) return undefined;
  const facts = { path, bytes: (await stat(file)).size, sha256: await sha256HexOfFile(file, "stored file") };
  const name = objectOf(path);
  if (name === undefined || name === facts.sha256) return facts;
  throw new SheafError(
    "corrupt",
    `${resolve(file)} is not what its name says: the disk is at fault; remove it, and let devices hand it in again.`,
  );
}

/** Keys and certificates of a data folder. */
async function keyFiles(store: string): Promise<readonly string[]> {
  const all = await readdir(store, { recursive: true, withFileTypes: true });
  const paths = all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(join(store, "/").length));
  return paths
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => isAllowed(path) && path !== logFile && objectOf(path) === undefined);
}

/** Copies the log into `staging` and answers with it and the list of objects; undefined where one was removed since the log was copied. */
async function snapshot({ store, run, signal }: BackupOptions, staging: string) {
  const copy = join(staging, logFile);
  await rm(copy, { force: true });
  if (run === undefined) await copyAll(join(store, logFile), copy);
  else await copyOnly(join(store, logFile), run, join(staging, `${randomUUID()}.sqlite`), copy);
  const { state, head } = await readLog(copy);
  const objects: BackupFile[] = [];
  for (const name of [...referencedObjects(state)].sort()) {
    signal?.throwIfAborted();
    const facts = await factsOf(store, objectPath(name));
    if (!facts) return undefined;
    objects.push(facts);
  }
  return { state, head, objects };
}

/**
 * Writes a backup. The coordinator may be at work: what it answers after the log was copied is not in it. Throws `usage` where the file is there already or no
 * such run is, `data` where the folder holds no log, `corrupt` where log or objects are not as they were written, and `storage`.
 */
export async function backupStore(options: BackupOptions): Promise<Backup> {
  const { store, file } = options;
  if (existsSync(file)) throw new SheafError("usage", `${resolve(file)} is there already; choose another name, or remove it first.`);
  if (!existsSync(join(store, logFile)))
    throw new SheafError("data", `${resolve(store)} has no ${logFile}; name the folder that \`sheaf serve\` was given with --store.`);
  const folder = dirname(resolve(file));
  const staging = await mkdtemp(join(folder, `.${basename(file)}-`)).catch((error: unknown) => {
    throw storageError(error, folder);
  });
  try {
    let found = await snapshot(options, staging);
    for (let i = 1; !found && i < tries; i++) found = await snapshot(options, staging);
    if (!found)
      throw new SheafError("corrupt", `${resolve(store)} lacks objects that its log speaks of; restore it from an earlier backup.`);
    const { state, head, objects } = found;
    const keys = await keyFiles(store);
    const others = [...(await Promise.all(keys.map((path) => factsOf(store, path)))), await factsOf(staging, logFile)];
    const files = [...others.flatMap((facts) => facts ?? []), ...objects];
    const manifest: Manifest = { format: "sheaf-backup-1", sheafVersion, createdAt: new Date().toISOString(), head, files };
    await writeFileAtomic(join(staging, manifestFile), canonicalJson(manifest), 0o600);
    const part = join(staging, "archive");
    // The keys of the coordinator are in it.
    await create({ file: part, cwd: staging, portable: true, strict: true, mode: 0o600 }, [manifestFile, logFile]);
    const stored = files.map(({ path }) => path).filter((path) => path !== logFile);
    if (stored.length > 0) await replace({ file: part, cwd: store, portable: true, strict: true }, stored);
    const handle = await open(part, "r+");
    await handle.sync().finally(() => handle.close());
    const bytes = (await stat(part)).size;
    const hash = await sha256HexOfFile(part, "backup");
    await rename(part, file);
    await syncFolder(folder);
    return { file, bytes, sha256: hash, ...contentsOf(state, head, objects.length) };
  } catch (error) {
    if (options.signal?.aborted) throw new SheafError("interrupted", "The backup was stopped; nothing was written.");
    throw storageError(error, file);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
