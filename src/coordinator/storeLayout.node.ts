/**
 * The version of a coordinator's data folder, and the way from each older one to the present. The number stands in `log.sqlite` (`user_version`), where it
 * changes in the same transaction as what it speaks of. Before a step the file is copied.
 */
import { existsSync, renameSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import type Database from "libsql";
import { SheafError } from "../util/errors.ts";
import { transact } from "./sqliteTransaction.node.ts";

/** A step from one layout to the next. */
interface Migration {
  /** What changes, for people. */
  readonly what: string;
  readonly sql: string;
}

/** Step i leads from layout i to layout i + 1; layout 0 is an empty file. Never change a step that was released: add another. */
const migrations: readonly Migration[] = [
  {
    what: "the log and the secrets",
    sql: `CREATE TABLE entries (sequence INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT;
     CREATE TABLE join_tokens (token_hash TEXT PRIMARY KEY, role TEXT NOT NULL, uses INTEGER NOT NULL, uses_left INTEGER NOT NULL,
       created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL) STRICT;
     CREATE TABLE join_token_users (token_hash TEXT NOT NULL REFERENCES join_tokens ON DELETE CASCADE, user TEXT NOT NULL,
       PRIMARY KEY (token_hash, user)) STRICT;
     CREATE TABLE remembered (value TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL) STRICT;
     CREATE TABLE revoked (token_id TEXT PRIMARY KEY, expires_at_ms INTEGER NOT NULL) STRICT;`,
  },
  {
    what: "an index, so that forgetting what has expired does not read all that is remembered",
    sql: "CREATE INDEX remembered_by_expiry ON remembered (expires_at_ms);",
  },
];

/** Layout that this program writes. */
export const storeVersion: number = migrations.length;

/** An upgrade that was made. */
export interface Upgrade {
  readonly from: number;
  readonly to: number;
  /** The log as it was. */
  readonly copy: string;
}

/** Layout of an open file. Throws `storage` for one of a newer Sheaf. */
function layoutOf(database: Database.Database, path: string): number {
  const version = (database.prepare("PRAGMA user_version").get() as { readonly user_version?: number } | undefined)?.user_version ?? 0;
  if (version <= storeVersion) return version;
  throw new SheafError(
    "storage",
    `${resolve(path)} has layout ${version}, this version of Sheaf knows layouts up to ${storeVersion}; use the newer Sheaf that wrote it.`,
  );
}

/** A whole copy of the file as it is now. One that an earlier try left is written anew, as nothing has changed since. */
function copyTo(database: Database.Database, copy: string): void {
  const part = `${copy}.part`;
  for (const old of [part, copy]) if (existsSync(old)) rmSync(old);
  database.prepare("VACUUM INTO ?").run(part);
  renameSync(part, copy);
}

/**
 * Brings an open file to the present layout: all steps that it lacks, or none where one fails. Answers what it did; undefined where nothing was to be done or
 * the file is new. Throws `storage` for a file of a newer Sheaf.
 */
export function upgradeLayout(database: Database.Database, path: string): Upgrade | undefined {
  const before = layoutOf(database, path);
  if (before === storeVersion) return undefined;
  const copy = `${path}.layout${before}`;
  if (before > 0) copyTo(database, copy);
  return transact(database, () => {
    // Another process may have been faster.
    const from = layoutOf(database, path);
    for (const { sql } of migrations.slice(from)) database.exec(sql);
    database.exec(`PRAGMA user_version = ${storeVersion}`);
    return from === 0 || from === storeVersion ? undefined : { from, to: storeVersion, copy };
  });
}

/** Checks that a file that is only read is of a layout that this program can read. Throws `storage` for one of a newer Sheaf, `data` for one without a log. */
export function checkLayout(database: Database.Database, path: string): void {
  if (layoutOf(database, path) === 0)
    throw new SheafError("data", `${resolve(path)} holds no log of a coordinator; name the folder that \`sheaf serve\` was given.`);
}
