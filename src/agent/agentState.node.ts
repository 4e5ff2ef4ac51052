/** A device's state in a folder that one process has at a time: `identity` (readable by its owner alone), `agent.json`, `checkpoints/` and `objects/`. */
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { fileCheckpoints } from "../train/checkpoint.node.ts";
import { SheafError } from "../util/errors.ts";
import { readError, removeTemporaries, storageError, writeFileAtomic } from "../util/files.node.ts";
import { lockFolder } from "../util/folderLock.node.ts";
import { sha256Hex, sha256HexOfFile } from "../util/hash.node.ts";
import { type AgentRecord, type AgentState, agentRecordSchema, checkHash, type ObjectSink } from "./state.ts";
import type { TaskCheckpoints } from "./tasks.ts";

/** Names in a state folder. */
export const agentFiles = { identity: "identity", record: "agent.json", checkpoints: "checkpoints", objects: "objects" } as const;

const checkpointEnding = ".checkpoint";
const partEnding = ".part";
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT";

/** A file's bytes; undefined where there is none. */
async function readIfThere(path: string, what: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw readError(error, path, what);
  }
}

/** Does what writes to `path`; a failure says so and why. */
async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    throw storageError(error, path);
  }
}

async function readRecord(path: string): Promise<AgentRecord> {
  const bytes = await readIfThere(path, "the agent's record");
  if (!bytes) return {};
  try {
    return agentRecordSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw new SheafError(
      "corrupt",
      `${path} is not the record of an agent of this version; delete it and join again (the device keeps its identity).`,
      { cause },
    );
  }
}

/** A download in a file beside the objects. What is on the disk counts, so a restart goes on from there. */
async function openFileSink(path: string): Promise<ObjectSink> {
  const part = `${path}${partEnding}`;
  let length = await stat(part).then(
    ({ size }) => size,
    () => 0,
  );
  return {
    get length() {
      return length;
    },
    append: (piece) =>
      writing(part, async () => {
        // What an append that failed midway left is cut off first.
        const handle = await open(part, length === 0 ? "w" : "r+");
        try {
          await handle.truncate(length);
          for (let at = 0; at < piece.length; ) at += (await handle.write(piece, at, piece.length - at, length + at)).bytesWritten;
        } finally {
          await handle.close();
        }
        length += piece.length;
      }),
    digest: () => (length === 0 ? Promise.resolve(sha256Hex(new Uint8Array())) : sha256HexOfFile(part, "a download")),
    reset: () =>
      writing(part, async () => {
        await rm(part, { force: true });
        length = 0;
      }),
    bytes: async () => (await readIfThere(part, "a download")) ?? new Uint8Array(),
    keep: () =>
      writing(path, async () => {
        const handle = await open(part, length === 0 ? "w" : "r+");
        try {
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(part, path);
        length = 0;
      }),
  };
}

function checkpointsAt(path: string): TaskCheckpoints {
  return { ...fileCheckpoints(path), clear: () => writing(path, () => rm(path, { force: true })) };
}

/** Deletes the files of a folder that `isKept` does not want. */
async function sweepFolder(folder: string, isKept: (name: string) => boolean): Promise<void> {
  for (const name of await readdir(folder)) if (!isKept(name)) await rm(join(folder, name), { force: true });
}

/**
 * Opens a device's state folder, made when missing, for this process alone. Throws `unavailable` while another agent has it, `storage` when it cannot be made.
 * @example await using state = await openAgentState(join(homedir(), ".local/state/sheaf/agent"));
 */
export async function openAgentState(folder: string): Promise<AgentState> {
  const at = (...names: string[]): string => join(folder, ...names);
  await writing(folder, async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of [agentFiles.checkpoints, agentFiles.objects]) await mkdir(at(name), { recursive: true, mode: 0o700 });
  });
  const lock = await lockFolder(folder, "agent");
  // A write that a kill cut short leaves its temporary file.
  await removeTemporaries(folder);
  // A folder that came out of a backup may have lost its rights.
  await chmod(at(agentFiles.identity), 0o600).catch(() => undefined);
  const objectAt = (sha256: string): string => at(agentFiles.objects, sha256);
  return {
    where: folder,
    async readIdentity() {
      const bytes = await readIfThere(at(agentFiles.identity), "the agent's identity");
      return bytes && new TextDecoder().decode(bytes).trim();
    },
    writeIdentity: (text) => writeFileAtomic(at(agentFiles.identity), `${text}\n`, 0o600),
    readRecord: () => readRecord(at(agentFiles.record)),
    writeRecord: (record) => writeFileAtomic(at(agentFiles.record), `${JSON.stringify(record)}\n`),
    checkpoints: (task) => checkpointsAt(at(agentFiles.checkpoints, `${task}${checkpointEnding}`)),
    async readObject(sha256) {
      const bytes = await readIfThere(objectAt(sha256), "an object");
      if (bytes && sha256Hex(bytes) !== sha256) {
        await rm(objectAt(sha256), { force: true });
        return undefined;
      }
      return bytes;
    },
    async writeObject(sha256, bytes) {
      await checkHash(sha256, bytes);
      await writeFileAtomic(objectAt(sha256), bytes);
    },
    openSink: (sha256) => openFileSink(objectAt(sha256)),
    async sweep({ objects, tasks }) {
      await sweepFolder(at(agentFiles.objects), (name) => objects.has(name.replace(/\.part$/, "")));
      await sweepFolder(
        at(agentFiles.checkpoints),
        (name) => name.endsWith(checkpointEnding) && tasks.has(name.slice(0, -checkpointEnding.length)),
      );
    },
    async freeDiskBytes() {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(lock[Symbol.asyncDispose]()),
  };
}
