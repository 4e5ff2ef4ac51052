import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { lockFolder } from "../util/folderLock.node.ts";
import { localAdminToken, openDataFolder } from "./dataFolder.node.ts";
import type { Sequenced } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-folder-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const parse = (value: unknown): Sequenced => value as Sequenced;

describe("data folder", () => {
  it("keeps its identity, key, log and objects; the key is the owner's alone", async () => {
    const path = join(root, "a");
    const first = await openDataFolder(path, parse);
    const { token } = await first.tokens.issue("viewer-1", "viewer", 60_000);
    await first.log.append(0, [{ sequence: 1 }]);
    const { sha256 } = await first.objects.put(new Uint8Array([1, 2, 3]));
    await first.close();
    await first.close();
    expect(statSync(join(path, "token.key")).mode & 0o777).toBe(0o600);
    const second = await openDataFolder(path, parse);
    expect(second.serverId).toBe(first.serverId);
    expect(second.serverId).toMatch(/^server-[0-9a-f]{24}$/);
    expect(await second.tokens.check(token)).toMatchObject({ ok: true });
    expect(await second.log.lastSequence()).toBe(1);
    expect(await second.objects.find(sha256)).toMatchObject({ bytes: 3 });
    expect(await second.tokens.check(await localAdminToken(path))).toMatchObject({ claims: { role: "admin" } });
    await second.close();
  });

  it("removes what a kill in the midst of a write left, and nothing else", async () => {
    const path = join(root, "killed");
    await (await openDataFolder(path, parse)).close();
    for (const name of [".address.json.22766.68132489.tmp", ".mine.tmp"]) writeFileSync(join(path, name), "half");
    await (await openDataFolder(path, parse)).close();
    expect(readdirSync(path).filter((name) => name.endsWith(".tmp"))).toEqual([".mine.tmp"]);
  });

  it("refuses a key that others can read, and one that was cut", async () => {
    const path = join(root, "b");
    await (await openDataFolder(path, parse)).close();
    chmodSync(join(path, "token.key"), 0o644);
    await expect(openDataFolder(path, parse)).rejects.toMatchObject({ code: "config" });
    await expect(localAdminToken(path)).rejects.toMatchObject({ code: "config" });
    chmodSync(join(path, "token.key"), 0o600);
    writeFileSync(join(path, "token.key"), readFileSync(join(path, "token.key")).subarray(0, 5));
    await expect(openDataFolder(path, parse)).rejects.toMatchObject({ code: "corrupt" });
    await expect(localAdminToken(join(root, "nothing"))).rejects.toMatchObject({ code: "data" });
  });

  it("is for one coordinator at a time", async () => {
    const path = join(root, "c");
    const first = await openDataFolder(path, parse);
    await expect(openDataFolder(path, parse)).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("Another coordinator"),
    });
    await first.close();
    await (await openDataFolder(path, parse)).close();
  });

  it("a lock of another process holds until that is killed", async () => {
    const path = join(root, "d");
    mkdirSync(path);
    const libsql = createRequire(import.meta.url).resolve("libsql");
    const program = `const D = require(${JSON.stringify(libsql)}); const d = new D(${JSON.stringify(join(path, "lock.sqlite"))});
      d.exec("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;"); console.log("locked"); setInterval(() => d, 1000);`;
    const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    await expect(lockFolder(path, "agent")).rejects.toMatchObject({ code: "unavailable" });
    child.kill("SIGKILL");
    await once(child, "exit");
    const lock = await lockFolder(path, "agent");
    await lock.close();
    await lock.close();
  });
});
