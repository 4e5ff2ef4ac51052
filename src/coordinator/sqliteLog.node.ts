/**
 * The event log and the secrets of the embedded store: one SQLite file in write-ahead mode, synced at each commit.
 * Appends are transactions that check the sequence, so two processes on one file cannot both win.
 */
import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import Database from "libsql";
import { SheafError } from "../util/errors.ts";
import { storageError } from "../util/files.node.ts";
import { checkSequences } from "./sequences.ts";
import { sqliteSecrets } from "./sqliteSecrets.node.ts";
import type { EventLog, SecretStore, Sequenced } from "./store.ts";

/** Steps from one layout of the file to the next; the file's `user_version` counts those done. Never change one that was released: add another. */
const migrations: readonly string[] = [
  `CREATE TABLE entries (sequence INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT;
   CREATE TABLE join_tokens (token_hash TEXT PRIMARY KEY, role TEXT NOT NULL, uses INTEGER NOT NULL, uses_left INTEGER NOT NULL,
     created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) STRICT;
   CREATE TABLE join_token_users (token_hash TEXT NOT NULL REFERENCES join_tokens ON DELETE CASCADE, user TEXT NOT NULL,
     PRIMARY KEY (token_hash, user)) STRICT;
   CREATE TABLE remembered (value TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL) STRICT;
   CREATE TABLE revoked (token_id TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL) STRICT;`,
];

/** Version of the file's layout that this program writes. */
export const storeVersion: number = migrations.length;

/** Entries fetched from the file at a time. */
const pageEntries = 500;

const numberIn = (row: unknown, column: string): number => {
  const value = typeof row === "object" && row !== null ? (row as Record<string, unknown>)[column] : undefined;
  return typeof value === "number" ? value : 0;
};

function migrate(database: Database.Database, path: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = numberIn(database.prepare("PRAGMA user_version").get(), "user_version");
    if (version > storeVersion) {
      throw new SheafError(
        "storage",
        `${resolve(path)} has layout ${version}, this version of Sheaf knows layouts up to ${storeVersion}; use the newer Sheaf that wrote it.`,
      );
    }
    for (const step of migrations.slice(version)) database.exec(step);
    if (version < storeVersion) database.exec(`PRAGMA user_version = ${storeVersion}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

/** What one SQLite file holds. */
export interface SqliteStores<Entry extends Sequenced> extends AsyncDisposable {
  readonly log: EventLog<Entry>;
  readonly secrets: SecretStore;
  /** Writes a whole copy of the file, as of now, to a path where nothing is. Throws `storage`. */
  backup(path: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the file, made when missing and brought to the present layout when older. `parse` checks each entry as it is read.
 * Throws `storage` when it cannot be written, is no database, or was written by a newer Sheaf.
 * @example await using stores = await openSqliteStores("data/log.sqlite", parseEntry);
 */
export async function openSqliteStores<Entry extends Sequenced>(
  path: string,
  parse: (value: unknown) => Entry,
): Promise<SqliteStores<Entry>> {
  let database: Database.Database;
  try {
    await mkdir(dirname(path), { recursive: true });
    database = new Database(path);
  } catch (error) {
    throw storageError(error, path);
  }
  try {
    database.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
    migrate(database, path);
  } catch (error) {
    database.close();
    throw storageError(error, path);
  }
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) database.close();
    isOpen = false;
  };
  const guard = <T>(action: () => T): T => {
    if (!isOpen) throw new SheafError("internal", `${path} is closed; use it before close().`);
    try {
      return action();
    } catch (error) {
      throw storageError(error, path);
    }
  };
  return {
    log: sqliteLog(database, guard, parse, close),
    secrets: sqliteSecrets(database, guard, close),
    backup: async (target) => guard(() => void database.prepare("VACUUM INTO ?").run(target)),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Runs an action on the open file and turns its failures into `storage` errors. */
export type Guard = <T>(action: () => T) => T;

function sqliteLog<Entry extends Sequenced>(
  database: Database.Database,
  guard: Guard,
  parse: (value: unknown) => Entry,
  close: () => Promise<void>,
): EventLog<Entry> {
  const newest = database.prepare("SELECT coalesce(max(sequence), 0) AS sequence FROM entries");
  const insert = database.prepare("INSERT INTO entries (sequence, entry) VALUES (?, ?)");
  const page = database.prepare("SELECT sequence, entry FROM entries WHERE sequence > ? ORDER BY sequence LIMIT ?");
  const last = (): number => numberIn(newest.get(), "sequence");
  const appendAll = database.transaction((expectedLast: number, entries: readonly Entry[]): number => {
    const found = last();
    if (found === expectedLast) for (const entry of entries) insert.run(entry.sequence, JSON.stringify(entry));
    return found;
  });
  return {
    lastSequence: async () => guard(last),
    async append(expectedLast, entries) {
      checkSequences(expectedLast, entries);
      const found = guard(() => appendAll.immediate(expectedLast, entries));
      return found === expectedLast ? { appended: true } : { appended: false, lastSequence: found };
    },
    async *read({ after = 0, limit = Number.POSITIVE_INFINITY } = {}) {
      let at = after;
      for (let left = limit; left > 0; ) {
        const rows = guard(() => page.all(at, Math.min(left, pageEntries)));
        for (const row of rows) yield parse(JSON.parse(String((row as Record<string, unknown>).entry)));
        if (rows.length < pageEntries) return;
        at += rows.length;
        left -= rows.length;
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
