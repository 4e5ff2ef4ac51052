/** Training data that a run offers to devices which have none of their own: each takes a shard, which is then its data like any other's. */
import { z } from "zod";
import { type ObjectReference, objectReferenceSchema } from "./messages.ts";
import { type SampleFormat, sampleFormat } from "./samples.ts";
import { id } from "./values.ts";

export interface ShardRequest {
  /** The run; with null the device has what it took before, or some of the oldest run that still offers any. */
  readonly runId: string | null;
}

/** A device's shard, and what its samples mean. */
export interface Shard extends SampleFormat {
  readonly runId: string;
  /** Samples in the form of a public pool; see `data/pool.ts`. */
  readonly object: ObjectReference;
}

export const shardRequestSchema: z.ZodType<ShardRequest> = z.strictObject({ runId: id.nullable() });

export const shardSchema: z.ZodType<Shard> = z.strictObject({
  runId: id,
  object: objectReferenceSchema,
  ...sampleFormat,
});
