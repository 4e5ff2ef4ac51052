/** A device without data of its own: it takes a shard of what a run offers, and that is its data from then on. */
import { type AudioSource, type Dataset, recordLength, sharedBytes, sharedLabels } from "../data/dataset.ts";
import { generateNoise } from "../data/noise.ts";
import { decodePool } from "../data/pool.ts";
import { sampleStatistics } from "../data/sampleStatistics.ts";
import { openMemorySamples } from "../data/samples.ts";
import type { Client } from "../protocol/client.ts";
import type { DataSummary } from "../protocol/messages.ts";
import type { Shard, ShardRequest } from "../protocol/offered.ts";
import type { Timing } from "../protocol/retry.ts";
import type { SamplePreparation } from "../protocol/samples.ts";
import { SheafError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { persist } from "./backoff.ts";
import type { AgentState } from "./state.ts";

/** What a device says of its data that has none yet: it takes part in nothing. */
export const noData: DataSummary = {
  classNames: ["none"],
  counts: [0],
  sampleShape: { channels: 1, height: 1, width: 1 },
  fingerprint: "0".repeat(64),
};

const noiseSeconds = 60;

/** How clips that came without a data set around them become features; noise to mix into them is made by code, the same on every device. */
export function audioSourceOf({ audio }: SamplePreparation): AudioSource | undefined {
  if (!audio) return undefined;
  const { features, samples } = audio;
  return { features, clipSamples: samples, noise: generateNoise(noiseSeconds * features.sampleRate, random(1, "noise")) };
}

/** A shard's samples as a data set. Throws `corrupt` for bytes that are none or of another form than the shard says. */
export async function shardDataset(shard: Shard, bytes: Uint8Array): Promise<Dataset> {
  const { object, classNames, otherClass, sampleShape, preparation } = shard;
  const what = `The offered data ${object.sha256.slice(0, 12)}`;
  const pool = decodePool(bytes, what, classNames.length);
  const audio = preparation && audioSourceOf(preparation);
  const shape = { channels: sampleShape.channels, height: sampleShape.height, width: sampleShape.width };
  const form = { shape, ...(audio ? { audio } : {}) };
  if (pool.recordLength !== recordLength(form)) {
    throw new SheafError(
      "corrupt",
      `${what} should have samples of ${recordLength(form)} values, got ${pool.recordLength}; whoever runs the coordinator should create the run again.`,
    );
  }
  // Threads that train share it.
  const { values } = pool;
  const shared = sharedBytes(values.byteLength);
  shared.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  const Values = values.constructor as new (buffer: ArrayBufferLike) => typeof values;
  const labels = sharedLabels(pool.labels.length);
  labels.set(pool.labels);
  const raw: Dataset = {
    name: "offered data",
    classNames,
    ...form,
    labels,
    store: { type: "memory", values: new Values(shared.buffer) },
    mean: Array.from({ length: shape.channels }, () => 0),
    std: Array.from({ length: shape.channels }, () => 1),
    provenance: { source: `offered by run ${shard.runId}`, sha256: object.sha256 },
    ...(otherClass === undefined ? {} : { otherClass }),
  };
  using samples = openMemorySamples(raw);
  return { ...raw, ...(await sampleStatistics(samples, 0)) };
}

export interface TakeOptions {
  readonly client: Client;
  readonly state: AgentState;
  readonly request: ShardRequest;
  readonly timing: Timing;
  readonly signal: AbortSignal;
  /** Told before a try that failed is repeated. */
  readonly onRetry?: (error: unknown, delayMs: number) => void;
}

/**
 * Takes a shard, or has the one that was taken before, and fetches what of it is not in the state. Waits for a coordinator that is away.
 * Throws `ProtocolError` with the code `conflict` where no run has data to give, `storage` where it cannot be kept, and what `shardDataset` throws.
 */
export async function takeOffered({ client, state, request, ...patience }: TakeOptions): Promise<{ shard: Shard; dataset: Dataset }> {
  const { signal } = patience;
  const shard = await persist(() => client.call("takeShard", { body: request }, { signal }), patience);
  const { object } = shard;
  const found = await state.readObject(object.sha256);
  if (found) return { shard, dataset: await shardDataset(shard, found) };
  const sink = await state.openSink(object.sha256);
  await persist(() => client.download(object, sink, { signal }), patience);
  const bytes = await sink.bytes();
  await sink.keep();
  return { shard, dataset: await shardDataset(shard, bytes) };
}
