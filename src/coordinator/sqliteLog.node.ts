/**
 * The event log and the secrets of the embedded store: one SQLite file in write-ahead mode, synced at each commit.
 * Appends are transactions that check the sequence, so two processes on one file cannot both win.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import Database from "libsql";
import { SheafError } from "../util/errors.ts";
import { storageError } from "../util/files.node.ts";
import { checkSequences } from "./sequences.ts";
import { sqliteSecrets } from "./sqliteSecrets.node.ts";
import { transact } from "./sqliteTransaction.node.ts";
import type { EventLog, SecretStore, Sequenced } from "./store.ts";
import { checkLayout, type Upgrade, upgradeLayout } from "./storeLayout.node.ts";

/** Entries fetched from the file at a time. */
const pageEntries = 500;

const numberIn = (row: unknown, column: string): number => {
  const value = typeof row === "object" && row !== null ? (row as Record<string, unknown>)[column] : undefined;
  return typeof value === "number" ? value : 0;
};

/** What one SQLite file holds. */
export interface SqliteStores<Entry extends Sequenced> extends AsyncDisposable {
  readonly log: EventLog<Entry>;
  readonly secrets: SecretStore;
  /** Present where the file was of an older layout. */
  readonly upgrade?: Upgrade;
  /** Writes a whole copy of the file, as of now, to a path where nothing is. Throws `storage`. */
  backup(path: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the file, made when missing and brought to the present layout when older, unless `onlyRead` (a coordinator may have it). `parse` checks each entry
 * as it is read. Throws `storage` when it cannot be written, is no database, or was written by a newer Sheaf.
 * @example await using stores = await openSqliteStores("data/log.sqlite", parseEntry);
 */
export async function openSqliteStores<Entry extends Sequenced>(
  path: string,
  parse: (value: unknown) => Entry,
  { onlyRead = false }: { readonly onlyRead?: boolean } = {},
): Promise<SqliteStores<Entry>> {
  let upgrade: Upgrade | undefined;
  let database: Database.Database;
  try {
    await mkdir(dirname(path), { recursive: true });
    database = new Database(path);
  } catch (error) {
    throw storageError(error, path);
  }
  try {
    database.exec("PRAGMA busy_timeout = 5000;");
    if (onlyRead) checkLayout(database, path);
    else {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
      upgrade = upgradeLayout(database, path);
    }
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
    ...(upgrade ? { upgrade } : {}),
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
  const appendAll = (expectedLast: number, entries: readonly Entry[]): number => {
    const found = last();
    if (found === expectedLast) for (const entry of entries) insert.run(entry.sequence, JSON.stringify(entry));
    return found;
  };
  return {
    lastSequence: async () => guard(last),
    async append(expectedLast, entries) {
      checkSequences(expectedLast, entries);
      const found = guard(() => transact(database, () => appendAll(expectedLast, entries)));
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
