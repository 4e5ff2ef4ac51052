/** The power goes out between any two file operations of the object store: what was visible stays, what was not whole is not there. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openFileObjects } from "./fileObjects.node.ts";
import { type FileOperations, nodeFileOperations } from "./fileOperations.node.ts";
import type { ObjectStore } from "./store.ts";

const folder = mkdtempSync(join(tmpdir(), "sheaf-crash-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Operations of a machine that dies after `budget` of them: the one that is under way is done in part, none comes after, and what was written and
 * not synced is lost.
 */
function dying(budget: number): { readonly operations: FileOperations; readonly died: () => boolean } {
  let left = budget;
  let dead = false;
  /** Bytes that reached the disk, of files that have others. */
  const unsynced = new Map<string, number>();
  const die = (): void => {
    dead = true;
    for (const [path, bytes] of unsynced) truncateSync(path, bytes);
  };
  const step = async <T>(whole: () => Promise<T>, part: () => Promise<unknown> = async () => undefined): Promise<T> => {
    if (!dead && left-- > 0) return whole();
    if (!dead) await part();
    if (!dead) die();
    throw new Error("power cut");
  };
  const real = nodeFileOperations;
  const operations: FileOperations = {
    makeFolder: (path) => step(() => real.makeFolder(path)),
    rename: (from, to) =>
      step(async () => {
        await real.rename(from, to);
        const synced = unsynced.get(from);
        unsynced.delete(from);
        if (synced !== undefined) unsynced.set(to, synced);
      }),
    remove: (path) =>
      step(async () => {
        await real.remove(path);
        unsynced.delete(path);
      }),
    syncFolder: (path) => step(() => real.syncFolder(path)),
    async openWrite(path) {
      const handle = await step(() => real.openWrite(path));
      const write = async (bytes: Uint8Array, at: number): Promise<void> => {
        if (!unsynced.has(path)) unsynced.set(path, at);
        await handle.write(bytes, at);
      };
      return {
        write: (bytes, at) =>
          step(
            () => write(bytes, at),
            () => write(bytes.subarray(0, bytes.length >> 1), at),
          ),
        truncate: (bytes) => step(() => handle.truncate(bytes)),
        sync: () =>
          step(async () => {
            await handle.sync();
            unsynced.delete(path);
          }),
        close: () => handle.close(),
      };
    },
  };
  return { operations, died: () => dead };
}

const first = new TextEncoder().encode("first object, there before the crash");
const second = new TextEncoder().encode("second object, which the crash may cut");
const nameOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Every file that a reader may find must be what its name says. */
function checkVisible(path: string): string[] {
  const names: string[] = [];
  for (const prefix of readdirSync(join(path, "objects"))) {
    for (const name of readdirSync(join(path, "objects", prefix))) {
      expect(nameOf(readFileSync(join(path, "objects", prefix, name)))).toBe(name);
      names.push(name);
    }
  }
  return names;
}

async function uploadSecond(store: ObjectStore): Promise<void> {
  const request = { owner: "device", sha256: nameOf(second), bytes: second.length };
  const started = await store.startUpload(request);
  if (!started.ok) throw new Error(started.problem);
  if (started.upload.done) return;
  const { uploadId, offset } = started.upload;
  const half = Math.max(offset, second.length >> 1);
  const answer = await store.continueUpload("device", uploadId, offset, [second.subarray(offset, half)]);
  if (answer.ok && !answer.upload.done) {
    const last = await store.continueUpload("device", uploadId, half, [second.subarray(half)]);
    if (!last.ok) throw new Error(last.problem);
  }
  // What a crash spoiled is found by its hash, dropped, and sent again.
  if (!answer.ok) return uploadSecond(store);
}

const ways: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  put: (store) => store.put([second.subarray(0, 9), second.subarray(9)], nameOf(second)),
  upload: uploadSecond,
};

describe.each(Object.keys(ways))("a crash during %s", (way) => {
  it("leaves nothing half visible, loses nothing, and the same work afterwards succeeds", async () => {
    let points = 0;
    for (let budget = 0; ; budget++) {
      const path = join(folder, `${way}-${budget}`);
      await (await openFileObjects(path)).put(first);
      const { operations, died } = dying(budget);
      const finished = await openFileObjects(path, { operations })
        .then((store) => ways[way]!(store))
        .then(
          () => true,
          () => false,
        );
      expect(finished).toBe(!died());
      const visible = checkVisible(path);
      expect(visible).toContain(nameOf(first));
      if (finished) expect(visible).toContain(nameOf(second));

      const store = await openFileObjects(path);
      expect(readdirSync(join(path, "uploads")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
      await ways[way]!(store);
      expect(checkVisible(path).sort()).toEqual([nameOf(first), nameOf(second)].sort());
      await store.collect({ keep: () => true, nowMs: Date.now() + 1000, graceMs: 0 });
      expect(readdirSync(join(path, "uploads"))).toEqual([]);
      if (finished) break;
      points++;
    }
    expect(points).toBeGreaterThan(8);
  });
});

describe("an upload that a power cut spoiled", () => {
  it("is found by its hash, dropped and sent again", async () => {
    const path = join(folder, "spoiled");
    const store = await openFileObjects(path);
    const request = { owner: "device", sha256: nameOf(second), bytes: second.length };
    const started = await store.startUpload(request);
    if (!started.ok) throw new Error(started.problem);
    // The size reached the disk, the content did not.
    await store.continueUpload("device", started.upload.uploadId, 0, [new Uint8Array(20)]);
    await store.close();
    const again = await openFileObjects(path);
    expect(await again.startUpload(request)).toMatchObject({ upload: { offset: 20 } });
    const rest = await again.continueUpload("device", started.upload.uploadId, 20, [second.subarray(20)]);
    expect(rest).toEqual({ ok: false, problem: "wrongHash" });
    expect(checkVisible(path)).toEqual([]);
    await uploadSecond(again);
    expect(checkVisible(path)).toEqual([nameOf(second)]);
  });

  it("is judged at the next start when all its bytes are there", async () => {
    const path = join(folder, "whole");
    const { operations } = dying(Number.POSITIVE_INFINITY);
    const store = await openFileObjects(path, { operations: { ...operations, rename: () => Promise.reject(new Error("power cut")) } });
    await expect(uploadSecond(store)).rejects.toThrow("power cut");
    const again = await openFileObjects(path);
    expect(await again.startUpload({ owner: "device", sha256: nameOf(second), bytes: second.length })).toMatchObject({
      upload: { done: true },
    });
    expect(checkVisible(path)).toEqual([nameOf(second)]);
  });
});

describe("a full disk", () => {
  it("refuses an upload that would not fit beside those that were promised room", async () => {
    const store = await openFileObjects(join(folder, "full"), { freeBytes: async () => 1000, reserveBytes: 100 });
    expect(await store.startUpload({ owner: "device", sha256: nameOf(first), bytes: 600 })).toMatchObject({ ok: true });
    expect(await store.startUpload({ owner: "device", sha256: nameOf(second), bytes: 600 })).toEqual({ ok: false, problem: "full" });
    expect(await store.startUpload({ owner: "device", sha256: nameOf(second), bytes: 300 })).toMatchObject({ ok: true });
  });

  it("keeps the store whole when it fills in the middle, and the upload goes on later", async () => {
    let full = true;
    const operations: FileOperations = {
      ...nodeFileOperations,
      async openWrite(path) {
        const handle = await nodeFileOperations.openWrite(path);
        const noSpace = Object.assign(new Error("no space left on device"), { code: "ENOSPC", syscall: "write" });
        return { ...handle, write: (bytes, at) => (full && at > 0 ? Promise.reject(noSpace) : handle.write(bytes, at)) };
      },
    };
    const path = join(folder, "enospc");
    const store = await openFileObjects(path, { operations });
    await expect(uploadSecond(store)).rejects.toMatchObject({ code: "storage", message: expect.stringContaining("disk is full") });
    expect(checkVisible(path)).toEqual([]);
    full = false;
    await uploadSecond(store);
    expect(checkVisible(path)).toEqual([nameOf(second)]);
  });
});
