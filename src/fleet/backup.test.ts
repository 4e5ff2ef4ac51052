/** Backups of a real data folder (a fixture, of an older layout even): whole, narrowed to a run, damaged in every way, and made by an enemy. */
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { cp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { Header } from "tar";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sha256 } from "../coordinator/bytes.ts";
import { parseEntry } from "../coordinator/chain.ts";
import { openDataFolder } from "../coordinator/dataFolder.node.ts";
import { openLive } from "../coordinator/live.ts";
import { planRun } from "../coordinator/planning.ts";
import type { Run } from "../coordinator/state.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { backupStore } from "./backup.ts";
import { type Manifest, objectPath, readLog } from "./backupFormat.ts";
import { restoreBackup } from "./restore.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-backup-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (...names: string[]): string => join(root, ...names);
const fixture = fileURLToPath(new URL("../../test/fixtures/store/layout1", import.meta.url));

/** A data folder with a finished run, as a coordinator leaves it. */
async function makeStore(name: string): Promise<string> {
  const store = at(name);
  await cp(fixture, store, { recursive: true });
  writeFileSync(join(store, "token.key"), new Uint8Array(32).fill(7), { mode: 0o600 });
  writeFileSync(join(store, "server.id"), "server-000000000000000000000001\n");
  mkdirSync(join(store, "authority/devices"), { recursive: true });
  for (const file of ["ca.key", "ca.pem", "devices/pi.pem"]) writeFileSync(join(store, "authority", file), `${file}\n`);
  // What does not belong into a backup.
  mkdirSync(join(store, "uploads"));
  writeFileSync(join(store, "uploads/half"), "half");
  writeFileSync(join(store, "address.json"), "{}");
  return store;
}

const filesOf = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

let store: string;
let whole: string;
beforeAll(async () => {
  store = await makeStore("store");
  whole = at("whole.tar");
  await backupStore({ store, file: whole });
});

/** What a refused backup leaves: nothing. */
async function expectRefused(file: string, code: string, pattern: RegExp = /./): Promise<void> {
  const target = at("refused", "store");
  await expect(restoreBackup({ file, store: target })).rejects.toMatchObject({ code, message: expect.stringMatching(pattern) });
  expect(existsSync(dirname(target)) ? readdirSync(dirname(target)) : []).toEqual([]);
}

describe("a backup", () => {
  it("brings back log, objects and keys, and nothing else", async () => {
    expect(statSync(whole).mode & 0o777).toBe(0o600);
    const restored = await restoreBackup({ file: whole, store: at("restored") });
    const { state, head } = await readLog(join(store, "log.sqlite"));
    expect(restored).toMatchObject({
      entries: head.sequence,
      head: `${head.sequence}:${head.hash}`,
      objects: 4,
      runs: [{ status: "finished" }],
    });
    const expected = filesOf(store).filter((path) => !/^(uploads|address|log\.sqlite-)/.test(path));
    expect(filesOf(at("restored")).filter((path) => !path.startsWith("log.sqlite-"))).toEqual(expected);
    for (const path of expected) {
      expect(statSync(join(at("restored"), path)).mode & 0o077, path).toBe(0);
      if (path !== "log.sqlite") expect(readFileSync(join(at("restored"), path)).equals(readFileSync(join(store, path))), path).toBe(true);
    }
    expect(await readLog(join(at("restored"), "log.sqlite"))).toMatchObject({ head });
    expect((await readLog(join(at("restored"), "log.sqlite"))).state.runs.size).toBe(state.runs.size);
    await using opened = await openDataFolder(at("restored"), parseEntry);
    expect(opened.serverId).toBe("server-000000000000000000000001");
  });

  it("replaces neither a file nor a folder", async () => {
    await expect(backupStore({ store, file: whole })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("there already"),
    });
    const before = filesOf(store);
    await expect(restoreBackup({ file: whole, store })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("move it away"),
    });
    expect(filesOf(store)).toEqual(before);
    mkdirSync(at("empty"));
    await restoreBackup({ file: whole, store: at("empty") });
    expect(existsSync(at("empty", "log.sqlite"))).toBe(true);
  });

  it("is whole while a coordinator writes", async () => {
    const busy = await makeStore("busy");
    await using folder = await openDataFolder(busy, parseEntry);
    await using live = await openLive({ log: folder.log, sha256, planner: planRun, newId: randomUUID, now: Date.now });
    const { definition } = [...live.state.runs.values()][0] as Run;
    let writing = true;
    const writer = (async () => {
      for (let i = 0; writing; i++) {
        await live.do({ type: "createRun", definition: { ...definition, name: `run${i}` } });
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const files = [0, 1, 2].map((i) => at(`busy${i}.tar`));
    for (const file of files) await backupStore({ store: busy, file });
    writing = false;
    await writer;
    const found = [];
    for (const file of files) found.push((await restoreBackup({ file, store: file.replace(".tar", "") })).entries);
    expect(found).toEqual([...found].sort((a, b) => a - b));
    expect(found[2]).toBeLessThanOrEqual(live.head.sequence);
  });

  it("of one run leaves the others behind, in a log that is sound", async () => {
    const two = await makeStore("two");
    {
      await using folder = await openDataFolder(two, parseEntry);
      await using live = await openLive({ log: folder.log, sha256, planner: planRun, newId: randomUUID, now: Date.now });
      const { definition } = [...live.state.runs.values()][0] as Run;
      await live.do({ type: "createRun", definition: { ...definition, name: "second" } });
    }
    const backup = await backupStore({ store: two, file: at("second.tar"), run: "second" });
    expect(backup.runs).toMatchObject([{ name: "second", status: "training" }]);
    // Of the other run only its model stays.
    expect(backup.objects).toBeLessThan(4);
    const { state } = await readLog(join(two, "log.sqlite"));
    expect(state.archive.size).toBe(0);
    await restoreBackup({ file: at("second.tar"), store: at("second") });
    const narrowed = await readLog(at("second", "log.sqlite"));
    expect([...narrowed.state.runs.values()].map(({ definition }) => definition.name)).toEqual(["second"]);
    expect([...narrowed.state.archive.values()].map(({ name }) => name)).toEqual(["fleet"]);
    await expect(backupStore({ store: two, file: at("third.tar"), run: "third" })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/0 runs are called "third".*second/),
    });
    expect(readdirSync(root).filter((name) => name.includes("third"))).toEqual([]);
  });

  it("is refused for a folder that is none, and for one whose objects are missing or damaged", async () => {
    await expect(backupStore({ store: at("nowhere"), file: at("n.tar") })).rejects.toMatchObject({ code: "data" });
    const damaged = await makeStore("damaged");
    const [object = ""] = filesOf(damaged).filter((path) => path.startsWith("objects/"));
    appendFileSync(join(damaged, object), "x");
    await expect(backupStore({ store: damaged, file: at("n.tar") })).rejects.toMatchObject({ code: "corrupt" });
    await rm(join(damaged, object));
    await expect(backupStore({ store: damaged, file: at("n.tar") })).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining("lacks objects"),
    });
    await expect(backupStore({ store, file: at("no", "folder", "n.tar") })).rejects.toMatchObject({ code: "storage" });
    expect(readdirSync(root).filter((name) => name.includes("n.tar"))).toEqual([]);
  });

  it("is refused where it is cut off or changed, wherever that is", async () => {
    const bytes = readFileSync(whole);
    const file = at("bad.tar");
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1025), async (length) => {
        writeFileSync(file, bytes.subarray(0, length));
        await expect(restoreBackup({ file, store: at("cut") })).rejects.toMatchObject({ code: expect.stringMatching(/corrupt|data/) });
        expect(existsSync(at("cut"))).toBe(false);
      }),
      { numRuns: 25, examples: [[0], [13], [511], [512], [bytes.length - 1025]] },
    );
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
        const changed = Buffer.from(bytes);
        changed[position] = (changed[position] as number) ^ flip;
        writeFileSync(file, changed);
        rmSync(at("changed"), { recursive: true, force: true });
        // Padding between files means nothing; everything else is told.
        const restored = await restoreBackup({ file, store: at("changed") }).catch((error: { readonly code?: string }) => error.code);
        if (typeof restored === "object") {
          for (const path of filesOf(at("restored")).filter((name) => !name.includes(".sqlite")))
            expect(readFileSync(at("changed", path)).equals(readFileSync(at("restored", path))), `${path} at ${position}`).toBe(true);
        } else {
          refused++;
          expect(restored, `at ${position}`).toMatch(/corrupt|data|storage/);
          expect(existsSync(at("changed"))).toBe(false);
        }
      }),
      { numRuns: 40 },
    );
    expect(refused).toBeGreaterThan(15);
  });
});

interface Entry {
  readonly path: string;
  readonly bytes?: Uint8Array;
  readonly type?: "File" | "SymbolicLink" | "Link" | "Directory" | "CharacterDevice";
  readonly linkpath?: string;
}

/** An archive as an enemy makes it, whatever a packer would refuse. */
function archive(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ path, bytes = new Uint8Array(), type = "File", linkpath = "" }) => {
    const header = new Header({ path, mode: 0o644, size: bytes.length, type, linkpath, mtime: new Date(0) });
    const block = Buffer.alloc(512);
    header.encode(block, 0);
    return [block, Buffer.from(bytes), Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const listed = (path: string, bytes: Uint8Array) => ({ path, bytes: bytes.length, sha256: sha256Hex(bytes) });

describe("a hostile backup", () => {
  const real = (): readonly Entry[] => {
    const log = readFileSync(join(fixture, "log.sqlite"));
    return [{ path: "log.sqlite", bytes: log }];
  };
  const manifestOf = (files: readonly unknown[]): Entry => {
    const manifest = { format: "sheaf-backup-1", sheafVersion: "0", createdAt: "", head: { sequence: 1, hash: "0".repeat(64) }, files };
    return { path: "manifest.json", bytes: text(JSON.stringify(manifest satisfies Record<string, unknown> as unknown as Manifest)) };
  };
  const refuse = async (entries: readonly Entry[], pattern: RegExp, code = "corrupt"): Promise<void> => {
    const file = at("hostile.tar");
    writeFileSync(file, archive(entries));
    await expectRefused(file, code, pattern);
  };
  const payload = text("pwned");

  it.each([
    "../evil",
    "/tmp/evil",
    "objects/../../evil",
    "authority/../../evil",
    "token.key/../../evil",
    "authority/devices/..",
    "lock.sqlite",
    ".bashrc",
  ])("cannot name %s", async (path) => {
    await refuse([manifestOf([listed(path, payload)]), { path, bytes: payload }], /manifest is none/);
    await refuse(
      [manifestOf(real().map(({ path: name, bytes = payload }) => listed(name, bytes))), { path, bytes: payload }],
      /does not list/,
    );
    expect(existsSync(at("evil"))).toBe(false);
    expect(existsSync(at("refused", "evil"))).toBe(false);
  });

  it.each(["SymbolicLink", "Link", "Directory", "CharacterDevice"] as const)("cannot bring a %s", async (type) => {
    const entry = { path: "token.key", type, ...(type.endsWith("Link") ? { linkpath: "/etc/passwd" } : {}) };
    await refuse([manifestOf([listed("token.key", new Uint8Array())]), entry], /no plain file|does not list|ends without/);
  });

  it("cannot bring a file twice, another size, another content, an object by another name, or none of the log", async () => {
    const key = listed("token.key", payload);
    await refuse([manifestOf([key]), { path: "token.key", bytes: payload }, { path: "token.key", bytes: payload }], /does not list/);
    await refuse([manifestOf([key]), { path: "token.key", bytes: text("longer than that") }], /bytes/);
    await refuse([manifestOf([key]), { path: "token.key", bytes: text("owned") }], /is not what its manifest says/);
    await refuse([manifestOf([key]), { path: "token.key", bytes: payload }], /no log/);
    await refuse([manifestOf([])], /no log/);
    await refuse([{ path: "manifest.json", bytes: text("{") }], /manifest is none/);
    const object = objectPath("ab".repeat(32));
    const [log] = real() as [{ path: string; bytes: Uint8Array }];
    await refuse([manifestOf([listed(log.path, log.bytes)]), log], /manifest says 1/);
    const { head } = await readLog(join(store, "log.sqlite"));
    const withHead = (files: readonly unknown[]): Entry => ({
      path: "manifest.json",
      bytes: text(JSON.stringify({ format: "sheaf-backup-1", sheafVersion: "0", createdAt: "", head, files })),
    });
    await refuse([withHead([listed(log.path, log.bytes)]), log], /lacks objects\//);
    await refuse(
      [withHead([listed(log.path, log.bytes), listed(object, payload)]), log, { path: object, bytes: payload }],
      /not what its name says/,
    );
    await refuse([withHead([listed("log.sqlite", payload)]), { path: "log.sqlite", bytes: payload }], /log cannot be read/);
  });

  it("cannot be compressed, or something else", async () => {
    for (const bytes of [gzipSync(readFileSync(whole)), gzipSync(Buffer.alloc(50_000_000)), text("hello"), Buffer.alloc(10_240)]) {
      writeFileSync(at("bomb.tar"), bytes);
      await expectRefused(at("bomb.tar"), "data", /not a backup/);
    }
    await expectRefused(at("absent.tar"), "data", /no such file/);
  });

  it("cannot be led astray by a link that lies in the way", async () => {
    mkdirSync(at("elsewhere"));
    writeFileSync(at("elsewhere", "file"), "x");
    symlinkSync(at("elsewhere"), at("link"));
    await expect(restoreBackup({ file: whole, store: at("link") })).rejects.toMatchObject({ code: "usage" });
    expect(readdirSync(at("elsewhere"))).toEqual(["file"]);
  });
});
