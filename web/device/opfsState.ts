/** A device's state in the origin private file system, for one tab at a time. Who the device is lies elsewhere (`identity.ts`). */
import { type AgentRecord, type AgentState, agentRecordSchema, checkHash, type ObjectSink } from "../../src/agent/state.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/train/checkpoint.ts";
import { sha256 } from "../../src/train/fingerprint.ts";
import { SheafError } from "../../src/util/errors.ts";
import type { PrivateFiles } from "./privateFiles.ts";
import { openSlots } from "./slots.ts";

const text = new TextEncoder();

/** Takes a lock that one tab of this origin has at a time; undefined while another has it. */
async function takeLock(name: string): Promise<(() => void) | undefined> {
  let release: (() => void) | undefined;
  const isTaken = await new Promise<boolean>((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock === null ? undefined : new Promise<void>((end) => (release = end));
      })
      .catch(reject);
  });
  return isTaken ? () => release?.() : undefined;
}

/** A download in the file that the object will be: it counts as an object once its hash is right. */
async function openFileSink(files: PrivateFiles, name: string): Promise<ObjectSink> {
  let length = await files.size(name);
  const bytes = async (): Promise<Uint8Array<ArrayBuffer>> => (await files.read(name)) ?? new Uint8Array();
  return {
    get length() {
      return length;
    },
    async append(piece) {
      await files.write(name, piece, length);
      length += piece.length;
    },
    digest: async () => sha256(await bytes()),
    async reset() {
      await files.remove(name);
      length = 0;
    },
    bytes,
    keep: async () => undefined,
  };
}

/** Opens the state. Throws `unavailable` while another tab has it. */
export async function openOpfsState(files: PrivateFiles): Promise<AgentState> {
  const release = await takeLock("sheaf-device");
  if (!release) {
    throw new SheafError(
      "unavailable",
      "Another tab of this browser is this device already; go on there, or close it and reload this one.",
    );
  }
  const record = openSlots(files, "agent");
  const objectAt = (name: string): string => `objects/${name}`;
  const refuse = async (): Promise<never> => {
    throw new SheafError("internal", "The key of this device is in the browser's key store, not among its files.");
  };
  return {
    where: "this browser's storage",
    readIdentity: refuse,
    writeIdentity: refuse,
    async readRecord() {
      const bytes = await record.read();
      if (!bytes) return {};
      // Written by another release: what it was doing is lost, not who it is.
      const parsed = agentRecordSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
      return parsed.success ? parsed.data : {};
    },
    writeRecord: (value: AgentRecord) => record.write(text.encode(JSON.stringify(value))),
    checkpoints(task) {
      const slots = openSlots(files, `checkpoints/${task}`);
      const where = `of ${task} in this browser's storage`;
      return {
        where,
        async load() {
          const bytes = await slots.read();
          return bytes && decodeCheckpoint(bytes, where);
        },
        save: async (checkpoint) => slots.write(await encodeCheckpoint(checkpoint)),
        clear: () => slots.clear(),
      };
    },
    async readObject(name) {
      const bytes = await files.read(objectAt(name));
      return bytes && (await sha256(bytes)) === name ? bytes : undefined;
    },
    async writeObject(name, bytes) {
      await checkHash(name, bytes);
      await files.write(objectAt(name), bytes);
    },
    openSink: (name) => openFileSink(files, objectAt(name)),
    async sweep({ objects, tasks }) {
      for (const name of await files.list("objects")) if (!objects.has(name)) await files.remove(objectAt(name));
      for (const name of await files.list("checkpoints"))
        if (!tasks.has(name.replace(/\.[01]$/, ""))) await files.remove(`checkpoints/${name}`);
    },
    async freeDiskBytes() {
      const { quota, usage } = await navigator.storage.estimate();
      return quota === undefined ? undefined : Math.max(0, quota - (usage ?? 0));
    },
    [Symbol.asyncDispose]: async () => release(),
  };
}
