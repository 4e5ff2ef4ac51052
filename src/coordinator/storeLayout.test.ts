/** Data folders of older layouts, as an earlier Sheaf wrote them (test/fixtures/store), brought to the present one. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import Database from "libsql";
import { afterAll, describe, expect, it } from "vitest";
import { sha256 } from "./bytes.ts";
import { emptyHead, type LogEntry, verifyLog } from "./chain.ts";
import { openSqliteStores } from "./sqliteLog.node.ts";
import { storeVersion } from "./storeLayout.node.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-layout-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fixture = fileURLToPath(new URL("../../test/fixtures/store", import.meta.url));
const parse = (value: unknown): LogEntry => value as LogEntry;

async function old(layout: number, name: string): Promise<string> {
  const path = join(root, name, "log.sqlite");
  await cp(join(fixture, `layout${layout}`, "log.sqlite"), path);
  return path;
}

const versionOf = (path: string): unknown => {
  const database = new Database(path);
  try {
    return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
  } finally {
    database.close();
  }
};

const olderLayouts = Array.from({ length: storeVersion - 1 }, (_, i) => i + 1);

describe("an older data folder", () => {
  it.each(olderLayouts)("of layout %i is upgraded once, its log untouched, with a copy of what it was", async (layout) => {
    const path = await old(layout, `upgraded-${layout}`);
    const stores = await openSqliteStores(path, parse);
    const copy = `${path}.layout${layout}`;
    expect(stores.upgrade).toEqual({ from: layout, to: storeVersion, copy });
    const after = await verifyLog(stores.log.read({ after: 0 }), sha256, emptyHead);
    expect(after).toMatchObject({ ok: true });
    await stores.secrets.forget(Date.now());
    await stores.close();
    expect(versionOf(path)).toBe(storeVersion);
    expect(versionOf(copy)).toBe(layout);
    const before = await openSqliteStores(copy, parse, { onlyRead: true });
    expect(await verifyLog(before.log.read({ after: 0 }), sha256, emptyHead)).toEqual(after);
    await before.close();
    const again = await openSqliteStores(path, parse);
    expect(again.upgrade).toBeUndefined();
    await again.close();
  });

  it("stays as it is where it is only read", async () => {
    const path = await old(1, "read");
    const bytes = readFileSync(path);
    const stores = await openSqliteStores(path, parse, { onlyRead: true });
    expect(await stores.log.lastSequence()).toBeGreaterThan(5);
    await stores.close();
    expect(versionOf(path)).toBe(1);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(existsSync(`${path}.layout1`)).toBe(false);
  });

  it("is not touched where a step fails, and can be tried again", async () => {
    const path = await old(1, "failed");
    const database = new Database(path);
    // In the way of the step to layout 2.
    database.exec("CREATE TABLE remembered_by_expiry (x INTEGER) STRICT");
    database.close();
    await expect(openSqliteStores(path, parse)).rejects.toMatchObject({ code: "storage" });
    expect(versionOf(path)).toBe(1);
    const mended = new Database(path);
    mended.exec("DROP TABLE remembered_by_expiry");
    mended.close();
    const stores = await openSqliteStores(path, parse);
    expect(stores.upgrade).toMatchObject({ from: 1 });
    await stores.close();
  });

  it("is refused when it is newer, by a sentence, also where it is only read", async () => {
    const path = await old(1, "newer");
    const database = new Database(path);
    database.exec("PRAGMA user_version = 99");
    database.close();
    for (const onlyRead of [false, true]) {
      await expect(openSqliteStores(path, parse, { onlyRead })).rejects.toMatchObject({
        code: "storage",
        message: expect.stringMatching(/has layout 99.*use the newer Sheaf/),
      });
    }
    expect(versionOf(path)).toBe(99);
  });
});
