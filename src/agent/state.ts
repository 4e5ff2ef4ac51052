/** What a device keeps between two lives: who it is, what it was doing, checkpoints and objects. The interface, what is in the record, and a version in memory. */
import { z } from "zod";
import { type Completion, completionSchema, type MeasuredProfile, type Offer, offerSchema, profileSchema } from "../protocol/messages.ts";
import { memorySink, type Sink } from "../protocol/transfer.ts";
import { id, sha256 as sha256Text, shortText } from "../protocol/values.ts";
import { memoryCheckpoints } from "../train/checkpoint.ts";
import { sha256 } from "../train/fingerprint.ts";
import { SheafError } from "../util/errors.ts";
import type { TaskCheckpoints } from "./tasks.ts";

/** The coordinator that a device is enrolled with. */
export interface EnrolledWith {
  readonly url: string;
  readonly serverId: string;
  readonly deviceId: string;
}

/** A finished result that has not been handed in, or not successfully; its outputs are among the objects. */
export interface Made {
  /** Of the offer's specification: a result serves any lease on the same work. */
  readonly specSha256: string;
  readonly completion: Completion;
}

/** What a device writes down so that a restart goes on. */
export interface AgentRecord {
  readonly enrolled?: EnrolledWith;
  /** The lease that it works on. */
  readonly work?: Offer;
  readonly made?: Made;
  /** What the machine measured of itself when it first enrolled, and the limits it was measured with. */
  readonly measured?: { readonly limits: string; readonly profile: MeasuredProfile };
}

export const agentRecordSchema: z.ZodType<AgentRecord> = z.strictObject({
  enrolled: z.strictObject({ url: shortText, serverId: id, deviceId: id }).exactOptional(),
  work: offerSchema.exactOptional(),
  measured: z.strictObject({ limits: z.string().max(1000), profile: profileSchema }).exactOptional(),
  made: z.strictObject({ specSha256: sha256Text, completion: completionSchema }).exactOptional(),
});

/** What may stay when the rest is swept away. */
export interface Keep {
  readonly objects: ReadonlySet<string>;
  readonly tasks: ReadonlySet<string>;
}

/** Where a download goes that becomes an object. */
export interface ObjectSink extends Sink {
  /** What is held. */
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
  /** Makes it an object. Throws `storage`. */
  keep(): Promise<void>;
}

/** Keeps a device's state. One owner at a time; disposing gives it up. */
export interface AgentState extends AsyncDisposable {
  /** Where it is, for messages. */
  readonly where: string;
  /** The private key, as text; undefined before the first `writeIdentity`. */
  readIdentity(): Promise<string | undefined>;
  /** Keeps the private key where nobody else can read it. Throws `storage`. */
  writeIdentity(text: string): Promise<void>;
  /** The record; empty before the first `writeRecord`. Throws `corrupt` for one that cannot be read. */
  readRecord(): Promise<AgentRecord>;
  /** Replaces the record, wholly or not at all. Throws `storage`. */
  writeRecord(record: AgentRecord): Promise<void>;
  /** Checkpoints of a task, named by letters, digits, `.`, `_` and `-`. */
  checkpoints(task: string): TaskCheckpoints;
  /** An object's bytes; undefined where it is not there. One that does not have its hash counts as not there. */
  readObject(sha256: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Keeps an object. Throws `storage`; `corrupt` where bytes and hash do not match. */
  writeObject(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** A download that goes on after a restart; `keep` it once its hash is right. */
  openSink(sha256: string): Promise<ObjectSink>;
  /** Deletes objects, begun downloads and checkpoints that are not named. */
  sweep(keep: Keep): Promise<void>;
  /** Room for more; undefined where that is not known. */
  freeDiskBytes(): Promise<number | undefined>;
}

/** State in memory, for tests and for devices that keep nothing. */
export function memoryState(): AgentState {
  let identity: string | undefined;
  let record = "{}";
  const objects = new Map<string, Uint8Array<ArrayBuffer>>();
  const sinks = new Map<string, ReturnType<typeof memorySink>>();
  const checkpoints = new Map<string, ReturnType<typeof memoryCheckpoints>>();
  return {
    where: "in memory",
    readIdentity: async () => identity,
    writeIdentity: async (text) => {
      identity = text;
    },
    readRecord: async () => agentRecordSchema.parse(JSON.parse(record)),
    writeRecord: async (value) => {
      record = JSON.stringify(value);
    },
    checkpoints: (task) => ({
      where: `of ${task} in memory`,
      load: async () => checkpoints.get(task)?.load(),
      async save(checkpoint) {
        const store = checkpoints.get(task) ?? memoryCheckpoints();
        checkpoints.set(task, store);
        await store.save(checkpoint);
      },
      clear: async () => void checkpoints.delete(task),
    }),
    readObject: async (name) => objects.get(name)?.slice(),
    async writeObject(name, bytes) {
      await checkHash(name, bytes);
      objects.set(name, bytes.slice());
    },
    async openSink(name) {
      const sink = sinks.get(name) ?? memorySink();
      sinks.set(name, sink);
      return {
        get length() {
          return sink.length;
        },
        append: sink.append,
        digest: sink.digest,
        reset: sink.reset,
        bytes: async () => sink.bytes(),
        async keep() {
          objects.set(name, sink.bytes());
          sinks.delete(name);
        },
      };
    },
    async sweep(keep) {
      for (const kept of [objects, sinks]) for (const name of kept.keys()) if (!keep.objects.has(name)) kept.delete(name);
      for (const task of checkpoints.keys()) if (!keep.tasks.has(task)) checkpoints.delete(task);
    },
    freeDiskBytes: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Throws `corrupt` unless the bytes have this SHA-256. */
export async function checkHash(name: string, bytes: Uint8Array): Promise<void> {
  const got = await sha256(bytes);
  if (got !== name) throw new SheafError("corrupt", `Object ${name} came with bytes of hash ${got}; fetch it again.`);
}
