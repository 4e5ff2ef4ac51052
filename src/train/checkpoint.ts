/** A training stopped between two steps, as data and as bytes, and the interface of what keeps it. */
import { z } from "zod";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";
import { sha256 } from "./fingerprint.ts";
import type { CurvePoint } from "./job.ts";

/** All that a job needs to go on as if it had never stopped. The position in the data and every random stream follow from `step`. */
export interface Checkpoint {
  readonly job: string;
  /** Of the job that wrote it; see `fingerprintOf`. */
  readonly fingerprint: string;
  /** Steps done. */
  readonly step: number;
  /** Sum of the losses of this epoch's steps so far. */
  readonly lossSum: number;
  /** Samples of this epoch classified rightly so far. */
  readonly correct: number;
  /** Epochs done. */
  readonly curve: readonly CurvePoint[];
  /** Time spent training so far. */
  readonly seconds: number;
  /** Parameters, optimizer and layer states, by input name of the program. */
  readonly state: ReadonlyMap<string, Tensor>;
}

/** Keeps the latest checkpoint of one job. */
export interface CheckpointStore {
  /** Where it is, for messages; a path for files. */
  readonly where: string;
  /** The latest checkpoint, or undefined when there is none. Throws `corrupt` when there is one that cannot be read; it is left as it is. */
  load(): Promise<Checkpoint | undefined>;
  /** Replaces the checkpoint, wholly or not at all. Throws `storage`. */
  save(checkpoint: Checkpoint): Promise<void>;
}

/** A checkpoint kept in memory, as bytes, so that later changes to the saved tensors do not reach it. */
export function memoryCheckpoints(): CheckpointStore {
  const where = "in memory";
  let bytes: Uint8Array | undefined;
  return {
    where,
    load: async () => bytes && decodeCheckpoint(bytes, where),
    save: async (checkpoint) => {
      bytes = await encodeCheckpoint(checkpoint);
    },
  };
}

const version = 1;
const curvePoint = z.strictObject({
  epoch: z.number(),
  step: z.number(),
  loss: z.number(),
  accuracy: z.number(),
  learningRate: z.number(),
});
const position = z.strictObject({
  version: z.literal(version),
  job: z.string(),
  fingerprint: z.string(),
  step: z.number().int().nonnegative(),
  lossSum: z.number(),
  correct: z.number().int().nonnegative(),
  curve: z.array(curvePoint),
  seconds: z.number().nonnegative(),
});

/** The error for a checkpoint that cannot be used: what is wrong and what to do. */
export function checkpointError(where: string, problem: string, cause?: unknown): SheafError {
  const message = `Checkpoint ${where} cannot be used: ${problem}; delete it to train from the start, or use another --out.`;
  return new SheafError("corrupt", message, { cause });
}

/** A safetensors file: the state, with the position as JSON and the SHA-256 of both in its metadata. */
export async function encodeCheckpoint({ state, ...rest }: Checkpoint): Promise<Uint8Array<ArrayBuffer>> {
  const json = canonicalJson({ version, ...rest });
  const digest = await sha256(encodeSafetensors(state, { checkpoint: json }));
  return encodeSafetensors(state, { checkpoint: json, sha256: digest });
}

/** Undoes `encodeCheckpoint`. Throws `corrupt`, naming `where` the bytes are from and what is wrong with them. */
export async function decodeCheckpoint(bytes: Uint8Array, where: string): Promise<Checkpoint> {
  const { tensors, metadata } = readContainer(bytes, where);
  const { checkpoint: json, sha256: digest } = metadata;
  if (json === undefined || digest === undefined) throw checkpointError(where, "it is a safetensors file, but not a checkpoint");
  if ((await sha256(encodeSafetensors(tensors, { checkpoint: json }))) !== digest) {
    throw checkpointError(where, "its content does not match its SHA-256");
  }
  const parsed = position.safeParse(JSON.parse(json));
  if (!parsed.success) throw checkpointError(where, "it was written by another version of Sheaf", parsed.error);
  const { version: _, ...rest } = parsed.data;
  return { ...rest, state: tensors };
}

function readContainer(bytes: Uint8Array, where: string): ReturnType<typeof decodeSafetensors> {
  try {
    return decodeSafetensors(bytes, "it");
  } catch (error) {
    if (!(error instanceof SheafError && error.code === "corrupt")) throw error;
    throw checkpointError(where, error.message.replace(/\.$/, ""), error);
  }
}
