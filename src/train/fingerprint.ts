/** SHA-256 on any platform, and the fingerprint by which a checkpoint knows its job. */
import { canonicalJson } from "../util/json.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import type { TrainingJob } from "./job.ts";

/** SHA-256 of bytes, in 64 lower-case hexadecimal digits. */
export async function sha256(bytes: Uint8Array | string): Promise<string> {
  const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  const digest = await crypto.subtle.digest("SHA-256", data as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Copied, because shared memory cannot be digested. */
const rawBytes = (data: Uint32Array | Uint16Array | Int16Array | Float32Array): Uint8Array => new Uint8Array(data.slice().buffer);

/**
 * A fingerprint of everything that decides a job's result: network, data, samples, labels, settings, seed, starting parameters and frozen scores.
 * Where and how often checkpoints are written does not.
 */
export async function fingerprintOf(job: TrainingJob): Promise<string> {
  const { id, network, dataset, samples, labels, settings, seed, initial, frozen } = job;
  const description = {
    id,
    network,
    settings,
    seed,
    dataset: {
      name: dataset.name,
      shape: dataset.shape,
      sha256: dataset.provenance.sha256,
      source: dataset.provenance.source,
      records: dataset.records && (await sha256(rawBytes(dataset.records))),
      changed: dataset.changed && { seed: dataset.changed.seed, kinds: await sha256(rawBytes(dataset.changed.kinds)) },
      audio: dataset.audio && { ...dataset.audio, noise: await sha256(rawBytes(dataset.audio.noise)) },
    },
    samples: await sha256(rawBytes(samples)),
    labels: await sha256(rawBytes(labels)),
    initial: initial && (await sha256(encodeSafetensors(initial))),
    frozen: frozen && { ...frozen, scores: await sha256(rawBytes(frozen.scores)) },
  };
  return sha256(canonicalJson(description));
}
