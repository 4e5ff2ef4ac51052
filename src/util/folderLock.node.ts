/**
 * One process per folder. The lock is the operating system's, held through a SQLite file that is open for writing, so that it ends with the process,
 * also by `kill -9`, and never has to be cleaned up by hand.
 */
import { join, resolve } from "node:path";
import Database from "libsql";
import { SheafError } from "./errors.ts";
import { storageError } from "./files.node.ts";

/** A held lock. */
export interface FolderLock extends AsyncDisposable {
  /** Lets the folder go; twice is fine. */
  close(): Promise<void>;
}

/** Locks an existing folder. `who` names in the error what holds it. Throws `unavailable` when another has it, and `storage`. */
export async function lockFolder(folder: string, who: string): Promise<FolderLock> {
  const path = join(folder, "lock.sqlite");
  let database: Database.Database;
  try {
    database = new Database(path);
  } catch (error) {
    throw storageError(error, path);
  }
  try {
    database.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;");
  } catch (error) {
    database.close();
    const isTaken = error instanceof Error && /locked|busy/i.test(error.message);
    if (!isTaken) throw storageError(error, path);
    throw new SheafError("unavailable", `Another ${who} is using ${resolve(folder)}; stop it, or give this one a folder of its own.`, {
      cause: error,
    });
  }
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (isOpen) database.close();
    isOpen = false;
  };
  return { close, [Symbol.asyncDispose]: close };
}
