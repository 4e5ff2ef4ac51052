/** Checkpoints in files. */
import { readFile } from "node:fs/promises";
import { readError, writeFileAtomic } from "../util/files.node.ts";
import { type CheckpointStore, decodeCheckpoint, encodeCheckpoint } from "./checkpoint.ts";

/** Keeps a checkpoint in one file, replaced atomically; `write` is for tests of failing disks. */
export function fileCheckpoints(path: string, write: typeof writeFileAtomic = writeFileAtomic): CheckpointStore {
  return {
    where: path,
    async load() {
      let bytes: Uint8Array;
      try {
        bytes = await readFile(path);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw readError(error, path, "checkpoint");
      }
      return decodeCheckpoint(bytes, path);
    },
    async save(checkpoint) {
      await write(path, await encodeCheckpoint(checkpoint));
    },
  };
}
