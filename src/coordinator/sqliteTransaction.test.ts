import Database from "libsql";
import { describe, expect, it } from "vitest";
import { transact } from "./sqliteTransaction.node.ts";

describe("a transaction", () => {
  const open = () => {
    const database = new Database(":memory:");
    database.exec("CREATE TABLE entries (text TEXT)");
    const insert = (text: string): unknown => database.prepare("INSERT INTO entries VALUES (?)").run(text);
    return { database, insert, count: () => database.prepare("SELECT text FROM entries").all().length };
  };

  it("is done as a whole or not at all", () => {
    const { database, insert, count } = open();
    expect(transact(database, () => [insert("a"), insert("b")].length)).toBe(2);
    expect(() =>
      transact(database, () => {
        insert("c");
        throw new Error("no");
      }),
    ).toThrow("no");
    expect([database.inTransaction, count()]).toEqual([false, 2]);
  });

  it("says that the disk is full, and goes on once there is room", () => {
    const { database, insert, count } = open();
    const large = "x".repeat(100_000);
    database.exec("PRAGMA max_page_count = 4");
    expect(() => transact(database, () => insert(large))).toThrow(/disk is full/);
    expect([database.inTransaction, count()]).toEqual([false, 0]);
    database.exec("PRAGMA max_page_count = 1000");
    transact(database, () => insert(large));
    expect(count()).toBe(1);
  });
});
