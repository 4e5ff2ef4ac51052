/** All or nothing in a SQLite file, and the true reason where it is nothing. */
import type Database from "libsql";

/**
 * Runs an action in a transaction that takes the write lock at once. A full disk ends a transaction by itself; rolling back what is not there any more would
 * fail, and hide why.
 */
export function transact<T>(database: Database.Database, action: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = action();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.inTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
