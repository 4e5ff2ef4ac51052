/**
 * The coordinator's data folder: `log.sqlite`, `objects/`, `uploads/`, the key of its tokens and its identity. One process at a time; whoever can
 * read the folder is an administrator.
 */
import { randomBytes } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { SheafError } from "../util/errors.ts";
import { readFileChecked, removeTemporaries, storageError, writeFileAtomic } from "../util/files.node.ts";
import { lockFolder } from "../util/folderLock.node.ts";
import { type AccessTokens, openAccessTokens, tokenKeyBytes } from "./accessTokens.ts";
import { type FileObjectsOptions, openFileObjects } from "./fileObjects.node.ts";
import { openSqliteStores, type SqliteStores } from "./sqliteLog.node.ts";
import type { ObjectStore, Sequenced } from "./store.ts";
import type { Upgrade } from "./storeLayout.node.ts";

export interface DataFolder<Entry extends Sequenced> extends AsyncDisposable {
  readonly log: SqliteStores<Entry>["log"];
  readonly secrets: SqliteStores<Entry>["secrets"];
  readonly objects: ObjectStore;
  readonly tokens: AccessTokens;
  /** Identity of this coordinator; devices sign for it. Stays with the folder. */
  readonly serverId: string;
  /** Present where the folder was of an older layout. */
  readonly upgrade?: Upgrade;
  close(): Promise<void>;
}

const keyFile = "token.key";
const identityFile = "server.id";

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A file that nobody else may read. Windows keeps permissions elsewhere. */
async function checkPrivate(path: string): Promise<void> {
  const mode = (await stat(path)).mode & 0o777;
  if (process.platform === "win32" || (mode & 0o077) === 0) return;
  throw new SheafError(
    "config",
    `${resolve(path)} must be readable by its owner alone, got mode ${mode.toString(8)}; whoever has read it can make tokens: remove it, start again, and let devices ask for new tokens.`,
  );
}

async function readKey(folder: string): Promise<Uint8Array> {
  const path = join(folder, keyFile);
  await checkPrivate(path);
  const key = await readFileChecked(path, "token key");
  if (key.length === tokenKeyBytes) return key;
  throw new SheafError(
    "corrupt",
    `${resolve(path)} must have ${tokenKeyBytes} bytes, got ${key.length}; restore it, or remove it to make all tokens void.`,
  );
}

/**
 * Opens a data folder, made when missing. `parse` checks each entry of the log as it is read. Throws `unavailable` when another coordinator
 * has it, `config` when others can read its key, `corrupt` and `storage`.
 * @example await using folder = await openDataFolder("sheaf-data", parseEntry);
 */
export async function openDataFolder<Entry extends Sequenced>(
  folder: string,
  parse: (value: unknown) => Entry,
  options: FileObjectsOptions = {},
): Promise<DataFolder<Entry>> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageError(error, folder);
  }
  const lock = await lockFolder(folder, "coordinator");
  let stores: SqliteStores<Entry> | undefined;
  try {
    await removeTemporaries(folder);
    if (!(await exists(join(folder, keyFile)))) await writeFileAtomic(join(folder, keyFile), randomBytes(tokenKeyBytes), 0o600);
    if (!(await exists(join(folder, identityFile)))) {
      await writeFileAtomic(join(folder, identityFile), `server-${randomBytes(12).toString("hex")}\n`);
    }
    const tokens = await openAccessTokens(await readKey(folder), options.nowMs ?? Date.now);
    const serverId = new TextDecoder().decode(await readFileChecked(join(folder, identityFile), "server identity")).trim();
    stores = await openSqliteStores(join(folder, "log.sqlite"), parse);
    const { log, secrets, upgrade } = stores;
    const objects = await openFileObjects(folder, options);
    const close = async (): Promise<void> => {
      await objects.close();
      await stores?.close();
      await lock.close();
    };
    return {
      log,
      secrets,
      objects,
      tokens,
      serverId,
      ...(upgrade ? { upgrade } : {}),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await stores?.close();
    await lock.close();
    throw error;
  }
}

/** An administrator's token for whoever can read the folder, so that none has to lie about: also while the coordinator runs. Throws `config`, `data`. */
export async function localAdminToken(folder: string, lifetimeMs: number = 3_600_000): Promise<string> {
  if (!(await exists(join(folder, keyFile)))) {
    throw new SheafError(
      "data",
      `${resolve(folder)} is no coordinator's data folder: it has no ${keyFile}; start one there with \`sheaf serve\`.`,
    );
  }
  const tokens = await openAccessTokens(await readKey(folder), Date.now);
  return (await tokens.issue("local", "admin", lifetimeMs)).token;
}
