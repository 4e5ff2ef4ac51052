import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { afterAll, describe, expect, it } from "vitest";
import { openFileObjects } from "./fileObjects.node.ts";
import { openSqliteStores, type SqliteStores } from "./sqliteLog.node.ts";
import { type Opened, type TestEntry, testEventLog, testObjectStore, testSecretStore } from "./storeContract.fixture.ts";
import { storeVersion } from "./storeLayout.node.ts";

const folder = mkdtempSync(join(tmpdir(), "sheaf-store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let places = 0;
const place = (): string => join(folder, `${places++}`);
const parse = (value: unknown): TestEntry => value as TestEntry;

/** `part` picks one store of the file. */
async function sqlite<Part>(part: (stores: SqliteStores<TestEntry>) => Part): Promise<Opened<Part>> {
  const path = join(place(), "log.sqlite");
  let stores = await openSqliteStores(path, parse);
  return {
    store: part(stores),
    async reopen() {
      await stores.close();
      stores = await openSqliteStores(path, parse);
      return part(stores);
    },
  };
}

testEventLog("SQLite", () => sqlite(({ log }) => log));
testSecretStore("SQLite", () => sqlite(({ secrets }) => secrets));
testObjectStore("files", async () => {
  const path = place();
  let store = await openFileObjects(path);
  return {
    store,
    async reopen() {
      await store.close();
      store = await openFileObjects(path);
      return store;
    },
  };
});

describe("SQLite file", () => {
  it("lets one of two processes on one file win", async () => {
    const path = join(place(), "log.sqlite");
    const one = await openSqliteStores(path, parse);
    const two = await openSqliteStores(path, parse);
    expect(await one.log.append(0, [{ sequence: 1, note: "one" }])).toEqual({ appended: true });
    expect(await two.log.append(0, [{ sequence: 1, note: "two" }])).toEqual({ appended: false, lastSequence: 1 });
    expect(await two.log.append(1, [{ sequence: 2, note: "two" }])).toEqual({ appended: true });
    expect(await one.log.lastSequence()).toBe(2);
    await one.close();
    await two.close();
  });

  it("is copied whole by a backup, and a backup overwrites nothing", async () => {
    const path = join(place(), "log.sqlite");
    const stores = await openSqliteStores(path, parse);
    await stores.log.append(0, [{ sequence: 1, note: "kept" }]);
    await stores.backup(`${path}.copy`);
    await stores.log.append(1, [{ sequence: 2, note: "later" }]);
    await expect(stores.backup(`${path}.copy`)).rejects.toMatchObject({ code: "storage" });
    await stores.close();
    const copy = await openSqliteStores(`${path}.copy`, parse);
    expect(await copy.log.lastSequence()).toBe(1);
    await copy.close();
  });

  it("refuses a file of a newer Sheaf, and one that is no database", async () => {
    const path = join(place(), "log.sqlite");
    await (await openSqliteStores(path, parse)).close();
    const database = new Database(path);
    database.exec(`PRAGMA user_version = ${storeVersion + 1}`);
    database.close();
    await expect(openSqliteStores(path, parse)).rejects.toThrow(/newer Sheaf/);
    await writeFile(`${path}.text`, "not a database, but long enough to be taken for one".repeat(100));
    await expect(openSqliteStores(`${path}.text`, parse)).rejects.toMatchObject({ code: "storage" });
  });

  it("says that it is closed", async () => {
    const stores = await openSqliteStores(join(place(), "log.sqlite"), parse);
    await stores.close();
    await expect(stores.log.lastSequence()).rejects.toThrow(/closed/);
  });
});
