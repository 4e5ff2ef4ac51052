/** One suite of promises for every implementation of the stores: call it with a way to open one. `reopen` is absent where nothing survives. */
import { afterEach, describe, expect, it } from "vitest";
import { sha256 } from "./bytes.ts";
import type { EventLog, ObjectStore, SecretStore, Sequenced, UploadAnswer } from "./store.ts";

export interface TestEntry extends Sequenced {
  readonly sequence: number;
  readonly note: string;
}

/** Opens a store on an empty place; `reopen` closes it and opens it again on the same place. */
export interface Opened<Store> {
  store: Store;
  readonly reopen?: () => Promise<Store>;
}

const entry = (sequence: number): TestEntry => ({ sequence, note: `note ${sequence} — “ä”\u0000` });
const entries = (from: number, to: number): TestEntry[] => Array.from({ length: to - from + 1 }, (_, i) => entry(from + i));

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

function closing<Store extends AsyncDisposable>(open: () => Promise<Opened<Store>>): () => Promise<Opened<Store>> {
  const stores: Opened<Store>[] = [];
  afterEach(async () => {
    for (const opened of stores.splice(0)) await opened.store[Symbol.asyncDispose]();
  });
  return async () => {
    const opened = await open();
    stores.push(opened);
    return opened;
  };
}

export function testEventLog(name: string, open: () => Promise<Opened<EventLog<TestEntry>>>): void {
  describe(`event log: ${name}`, () => {
    const start = closing(open);

    it("is empty at first", async () => {
      const { store } = await start();
      expect(await store.lastSequence()).toBe(0);
      expect(await all(store.read())).toEqual([]);
    });

    it("gives back what was appended, in order, from any place on", async () => {
      const { store } = await start();
      expect(await store.append(0, entries(1, 2))).toEqual({ appended: true });
      expect(await store.append(2, entries(3, 1200))).toEqual({ appended: true });
      expect(await all(store.read())).toEqual(entries(1, 1200));
      expect(await all(store.read({ after: 1198 }))).toEqual(entries(1199, 1200));
      expect(await all(store.read({ after: 3, limit: 2 }))).toEqual(entries(4, 5));
      expect(await all(store.read({ after: 3, limit: 700 }))).toEqual(entries(4, 703));
      expect(await all(store.read({ after: 1200 }))).toEqual([]);
      expect(await store.append(1200, [])).toEqual({ appended: true });
    });

    it("refuses an append that expects another end, and changes nothing", async () => {
      const { store } = await start();
      await store.append(0, entries(1, 3));
      expect(await store.append(2, [entry(3)])).toEqual({ appended: false, lastSequence: 3 });
      expect(await store.append(5, [entry(6)])).toEqual({ appended: false, lastSequence: 3 });
      expect(await all(store.read())).toEqual(entries(1, 3));
    });

    it("refuses a gap in the sequences", async () => {
      const { store } = await start();
      await expect(store.append(0, [entry(1), entry(3)])).rejects.toThrow("must have sequence 2, got 3");
      await expect(store.append(0, [entry(0)])).rejects.toThrow("must have sequence 1, got 0");
      expect(await store.lastSequence()).toBe(0);
    });

    it("lets one of many rivals win", async () => {
      const { store } = await start();
      const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => store.append(0, [{ sequence: 1, note: `rival ${i}` }])));
      expect(answers.filter(({ appended }) => appended)).toHaveLength(1);
      const winner = answers.findIndex(({ appended }) => appended);
      expect(await all(store.read())).toEqual([{ sequence: 1, note: `rival ${winner}` }]);
    });

    it("holds entries that their maker cannot change afterwards", async () => {
      const { store } = await start();
      const mine = { sequence: 1, note: "before" };
      await store.append(0, [mine]);
      mine.note = "after";
      expect(await all(store.read())).toEqual([{ sequence: 1, note: "before" }]);
    });

    it("is the same after a restart", async (context) => {
      const opened = await start();
      if (!opened.reopen) return context.skip("nothing survives here");
      await opened.store.append(0, entries(1, 5));
      opened.store = await opened.reopen();
      expect(await all(opened.store.read())).toEqual(entries(1, 5));
      expect(await opened.store.append(5, [entry(6)])).toEqual({ appended: true });
    });

    it("closes twice", async () => {
      const { store } = await start();
      await store.close();
      await store.close();
    });
  });
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

async function content(store: ObjectStore, name: string, range?: { start: number; end: number }): Promise<string | undefined> {
  const stream = await store.read(name, range);
  return stream && (await new Response(stream).text());
}

async function* pieces(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield bytesOf(text);
}

async function* cutAfter(text: string): AsyncGenerator<Uint8Array> {
  yield bytesOf(text);
  throw new Error("connection cut");
}

const uploadOf = (answer: UploadAnswer): { uploadId: string; offset: number; done: boolean } => {
  if (!answer.ok) throw new Error(`expected an upload, got ${answer.problem}`);
  return answer.upload;
};

export function testObjectStore(name: string, open: () => Promise<Opened<ObjectStore>>): void {
  describe(`object store: ${name}`, () => {
    const start = closing(open);

    it("keeps bytes under their hash", async () => {
      const { store } = await start();
      const stored = await store.put(bytesOf("sheaf"));
      expect(stored).toMatchObject({ sha256: await sha256("sheaf"), bytes: 5 });
      expect(await store.find(stored.sha256)).toEqual(stored);
      expect(await content(store, stored.sha256)).toBe("sheaf");
      expect(await store.put(pieces("she", "", "af"), stored.sha256)).toEqual(stored);
      expect(await all(store.list())).toEqual([stored]);
      const empty = await store.put(new Uint8Array());
      expect(await content(store, empty.sha256)).toBe("");
    });

    it("reads ranges", async () => {
      const { store } = await start();
      const text = "0123456789".repeat(60_000);
      const { sha256: hash } = await store.put(bytesOf(text));
      expect(await content(store, hash, { start: 3, end: 7 })).toBe("3456");
      expect(await content(store, hash, { start: 0, end: 0 })).toBe("");
      expect(await content(store, hash, { start: 9, end: 600_000 })).toBe(text.slice(9));
    });

    it("takes nothing that is not what its name says", async () => {
      const { store } = await start();
      await expect(store.put(bytesOf("other"), await sha256("sheaf"))).rejects.toThrow(/SHA-256/);
      await expect(store.put(cutAfter("she"))).rejects.toThrow("connection cut");
      expect(await all(store.list())).toEqual([]);
    });

    it.each([
      "",
      "x",
      "../../etc/passwd",
      `..${"/".repeat(62)}`,
      "A".repeat(64),
      "%2e%2e%2fpasswd",
      `${"a".repeat(63)}\n`,
      `${"0".repeat(64)}/..`,
    ])("finds nothing under %j", async (hostile) => {
      const { store } = await start();
      await store.put(bytesOf("sheaf"));
      expect(await store.find(hostile)).toBeUndefined();
      expect(await store.read(hostile)).toBeUndefined();
      expect(await store.remove(hostile)).toBe(false);
      expect(await all(store.list())).toHaveLength(1);
    });

    it("assembles an upload from chunks; nothing is visible before the last", async () => {
      const { store } = await start();
      const hash = await sha256("sheaf of wheat");
      const request = { owner: "device-1", sha256: hash, bytes: 14 };
      const { uploadId } = uploadOf(await store.startUpload(request));
      expect(await store.continueUpload("device-1", uploadId, 0, pieces("shea", "f "))).toMatchObject({
        upload: { offset: 6, done: false },
      });
      expect(await store.find(hash)).toBeUndefined();
      expect(await all(store.list())).toEqual([]);
      expect(uploadOf(await store.startUpload(request))).toEqual({ uploadId, offset: 6, done: false });
      const last = await store.continueUpload("device-1", uploadId, 6, pieces("of wheat"));
      expect(last).toEqual({ ok: true, upload: { uploadId, offset: 14, done: true } });
      expect(await content(store, hash)).toBe("sheaf of wheat");
      expect(await store.continueUpload("device-1", uploadId, 6, pieces("of wheat"))).toEqual(last);
      expect(uploadOf(await store.startUpload(request))).toMatchObject({ offset: 14, done: true });
      expect(uploadOf(await store.startUpload({ ...request, owner: "device-2" })).done).toBe(true);
    });

    it("keeps what came before a connection was cut", async () => {
      const { store } = await start();
      const request = { owner: "device-1", sha256: await sha256("sheaf"), bytes: 5 };
      const { uploadId } = uploadOf(await store.startUpload(request));
      await expect(store.continueUpload("device-1", uploadId, 0, cutAfter("she"))).rejects.toThrow("connection cut");
      expect(await all(store.list())).toEqual([]);
      expect(uploadOf(await store.startUpload(request)).offset).toBe(3);
      expect(uploadOf(await store.continueUpload("device-1", uploadId, 3, pieces("af"))).done).toBe(true);
      expect(await content(store, request.sha256)).toBe("sheaf");
    });

    it("goes on with an upload after a restart", async (context) => {
      const opened = await start();
      if (!opened.reopen) return context.skip("nothing survives here");
      const request = { owner: "device-1", sha256: await sha256("sheaf"), bytes: 5 };
      const { uploadId } = uploadOf(await opened.store.startUpload(request));
      await opened.store.continueUpload("device-1", uploadId, 0, pieces("sh"));
      opened.store = await opened.reopen();
      expect(await opened.store.continueUpload("device-2", uploadId, 2, pieces("eaf"))).toMatchObject({ problem: "unknown" });
      expect(uploadOf(await opened.store.startUpload(request))).toEqual({ uploadId, offset: 2, done: false });
      expect(uploadOf(await opened.store.continueUpload("device-1", uploadId, 2, pieces("eaf"))).done).toBe(true);
      opened.store = await opened.reopen();
      expect(await content(opened.store, request.sha256)).toBe("sheaf");
    });

    it("refuses wrong offsets, other owners, two writers, too many bytes and wrong bytes", async () => {
      const { store } = await start();
      const request = { owner: "device-1", sha256: await sha256("sheaf"), bytes: 5 };
      const { uploadId } = uploadOf(await store.startUpload(request));
      await store.continueUpload("device-1", uploadId, 0, pieces("sh"));
      expect(await store.continueUpload("device-1", uploadId, 0, pieces("sh"))).toEqual({ ok: false, problem: "offset", offset: 2 });
      expect(await store.continueUpload("device-1", uploadId, 4, pieces("f"))).toEqual({ ok: false, problem: "offset", offset: 2 });
      expect(await store.continueUpload("device-2", uploadId, 2, pieces("eaf"))).toEqual({ ok: false, problem: "unknown" });
      expect(await store.continueUpload("device-1", "0".repeat(32), 0, pieces("x"))).toEqual({ ok: false, problem: "unknown" });
      expect(await store.continueUpload("device-1", "../../etc", 0, pieces("x"))).toEqual({ ok: false, problem: "unknown" });
      expect(await store.continueUpload("device-1", uploadId, 2, pieces("e", "af", "!"))).toEqual({
        ok: false,
        problem: "tooLong",
        offset: 2,
      });
      const [begun, released] = [gate(), gate()];
      const slow = store.continueUpload("device-1", uploadId, 2, held("e", begun.open, released.opened));
      await begun.opened;
      expect(await store.continueUpload("device-1", uploadId, 2, pieces("eaf"))).toMatchObject({ ok: false, problem: "busy" });
      released.open();
      await slow;
      expect(await store.continueUpload("device-1", uploadId, 3, pieces("xx"))).toEqual({ ok: false, problem: "wrongHash" });
      expect(uploadOf(await store.startUpload(request)).offset).toBe(0);
      expect(uploadOf(await store.continueUpload("device-1", uploadId, 0, pieces("sheaf"))).done).toBe(true);
    });

    it("limits the open uploads of one owner", async () => {
      const { store } = await start();
      const hashes = await Promise.all(Array.from({ length: 20 }, (_, i) => sha256(`${i}`)));
      const answers: UploadAnswer[] = [];
      for (const hash of hashes) answers.push(await store.startUpload({ owner: "device-1", sha256: hash, bytes: 9 }));
      expect(answers.filter(({ ok }) => ok)).toHaveLength(16);
      expect(answers.at(-1)).toEqual({ ok: false, problem: "tooMany" });
      expect((await store.startUpload({ owner: "device-2", sha256: hashes[0]!, bytes: 9 })).ok).toBe(true);
    });

    it("makes an empty object", async () => {
      const { store } = await start();
      const hash = await sha256("");
      expect(uploadOf(await store.startUpload({ owner: "device-1", sha256: hash, bytes: 0 })).done).toBe(true);
      expect(await content(store, hash)).toBe("");
    });

    it("collects orphans and given-up uploads, and nothing else", async () => {
      const { store } = await start();
      const kept = await store.put(bytesOf("kept"));
      const orphan = await store.put(bytesOf("orphan"));
      const { uploadId } = uploadOf(await store.startUpload({ owner: "device-1", sha256: await sha256("sheaf"), bytes: 5 }));
      await store.continueUpload("device-1", uploadId, 0, pieces("she"));
      const keep = (hash: string): boolean => hash === kept.sha256;
      expect(await store.collect({ keep, nowMs: Date.now(), graceMs: 60_000 })).toEqual({ objects: [], uploads: 0, bytes: 0 });
      expect(await store.collect({ keep, nowMs: Date.now() + 61_000, graceMs: 60_000 })).toEqual({
        objects: [orphan.sha256],
        uploads: 1,
        bytes: 9,
      });
      expect((await all(store.list())).map((stored) => stored.sha256)).toEqual([kept.sha256]);
      expect(await store.continueUpload("device-1", uploadId, 3, pieces("af"))).toMatchObject({ problem: "unknown" });
    });

    it("closes a stream that its reader leaves", async () => {
      const { store } = await start();
      const { sha256: hash } = await store.put(new Uint8Array(1_000_000));
      const reader = (await store.read(hash))!.getReader();
      await reader.read();
      await reader.cancel();
    });
  });
}

/** What others wait for until it is opened. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** A text that a writer has begun with and gets later. */
async function* held(text: string, begun: () => void, released: Promise<void>): AsyncGenerator<Uint8Array> {
  begun();
  await released;
  yield* pieces(text);
}

export function testSecretStore(name: string, open: () => Promise<Opened<SecretStore>>): void {
  describe(`secret store: ${name}`, () => {
    const start = closing(open);
    const token = { tokenHash: "a".repeat(64), role: "device", uses: 2, createdAtMs: 1, expiresAtMs: 1000 } as const;

    it("counts uses, forgives repeats and knows the time", async () => {
      const { store } = await start();
      await store.addJoinToken(token);
      expect(await store.useJoinToken("b".repeat(64), "one", 10)).toEqual({ ok: false, problem: "unknown" });
      expect(await store.useJoinToken(token.tokenHash, "one", 10)).toEqual({ ok: true, role: "device" });
      expect(await store.useJoinToken(token.tokenHash, "one", 11)).toEqual({ ok: true, role: "device" });
      expect(await store.useJoinToken(token.tokenHash, "two", 12)).toEqual({ ok: true, role: "device" });
      expect(await store.useJoinToken(token.tokenHash, "three", 13)).toEqual({ ok: false, problem: "usedUp" });
      expect(await store.joinTokens()).toEqual([{ ...token, usesLeft: 0 }]);
      expect(await store.useJoinToken(token.tokenHash, "one", 1000)).toEqual({ ok: false, problem: "expired" });
      expect(await store.removeJoinToken(token.tokenHash)).toBe(true);
      expect(await store.removeJoinToken(token.tokenHash)).toBe(false);
      expect(await store.useJoinToken(token.tokenHash, "one", 14)).toEqual({ ok: false, problem: "unknown" });
    });

    it("never gives more uses than there are to rivals", async () => {
      const { store } = await start();
      await store.addJoinToken(token);
      const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => store.useJoinToken(token.tokenHash, `user ${i}`, 10)));
      expect(answers.filter(({ ok }) => ok)).toHaveLength(2);
    });

    it("notices a replay until it has expired", async () => {
      const { store } = await start();
      expect(await store.remember("nonce", 100, 10)).toBe(true);
      expect(await store.remember("nonce", 200, 50)).toBe(false);
      expect(await store.remember("other", 200, 50)).toBe(true);
      expect(await store.remember("nonce", 300, 100)).toBe(true);
      expect(await store.remember("nonce", 300, 250)).toBe(false);
    });

    it("revokes, also after a restart, and forgets what has expired", async () => {
      const opened = await start();
      await opened.store.revoke("token-1", 100);
      await opened.store.revoke("token-1", 100);
      if (opened.reopen) opened.store = await opened.reopen();
      expect(await opened.store.isRevoked("token-1")).toBe(true);
      expect(await opened.store.isRevoked("token-2")).toBe(false);
      await opened.store.addJoinToken(token);
      await opened.store.forget(99);
      expect(await opened.store.isRevoked("token-1")).toBe(true);
      await opened.store.forget(1000);
      expect(await opened.store.isRevoked("token-1")).toBe(false);
      expect(await opened.store.joinTokens()).toEqual([]);
    });
  });
}
