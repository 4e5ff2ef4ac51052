/** Where a device's samples for "other" come from: its own neighbours' classes, a public pool, its own samples made unlike themselves, or nowhere. */
import { madeSources, poolBackground } from "../data/background.ts";
import { apportion, type Dataset, drawStratified, recordLength, samplesByClass } from "../data/dataset.ts";
import type { RunConfig } from "./config.ts";

/** Training samples by who may have them; indices are ascending. */
export interface SampleSources {
  /** Dealt out to devices. */
  readonly held: Uint32Array;
  /** Public: background for everybody and nobody's own. Empty unless negatives come from a pool. */
  readonly pool: Uint32Array;
}

/** Sets the public pool aside, with the class proportions of the whole. */
export function sampleSources({ negatives, poolShare, seed }: RunConfig, { labels, classNames }: Dataset): SampleSources {
  const all = Uint32Array.from(labels.keys());
  if (negatives !== "pool") return { held: all, pool: new Uint32Array() };
  const groups = samplesByClass(labels, classNames.length);
  const pool = drawStratified(groups, Math.round(poolShare * labels.length), seed, "pool");
  const isPublic = new Uint8Array(labels.length);
  for (const i of pool) isPublic[i] = 1;
  return { held: all.filter((i) => isPublic[i] === 0), pool };
}

/**
 * The share of the samples of other classes that a device has as background: of those dealt out, or of the pool. From a pool, rho still counts in samples of
 * the whole training set, so that figures compare; a device has the whole pool where that is smaller.
 */
export function backgroundShare({ negatives, poolShare, rho }: RunConfig): number {
  switch (negatives) {
    case "local":
    case "synthetic":
      return rho;
    case "pool":
      return Math.min(1, rho / poolShare);
    case "none":
      return 0;
  }
}

/** What a device sees beside its own samples. */
export interface Negatives {
  /** Indices into the training set, ascending. */
  readonly background: Uint32Array;
  /** Own samples that a negative is made of, one for each entry. */
  readonly made: Uint32Array;
}

/** A device's negatives; `dealt` is the background that the partition gave it. */
export function negativesOf(
  config: RunConfig,
  train: Dataset,
  pool: Uint32Array,
  { device, taskSet, own, dealt }: { device: string; taskSet: readonly number[]; own: Uint32Array; dealt: Uint32Array },
): Negatives {
  const none = new Uint32Array();
  switch (config.negatives) {
    case "local":
      return { background: dealt, made: none };
    case "none":
      return { background: none, made: none };
    case "synthetic":
      return { background: none, made: madeSources(own, dealt.length, config.seed, device) };
    case "pool":
      return { background: poolBackground(train, pool, taskSet, backgroundShare(config), config.seed, device), made: none };
  }
}

/** Samples of the pool by class. */
export function poolCounts({ poolShare }: RunConfig, classCounts: readonly number[]): readonly number[] {
  const total = classCounts.reduce((sum, count) => sum + count, 0);
  return apportion(Math.round(poolShare * total), classCounts);
}

/** Bytes of one stored sample, as it travels. */
export function sampleBytes(dataset: Dataset): number {
  const { store } = dataset;
  const perValue = store.type === "memory" ? store.values.BYTES_PER_ELEMENT : { uint8: 1, int16: 2, float32: 4 }[store.dtype];
  return perValue * recordLength(dataset);
}

/** Where background samples come from, as a clause after "each device also sees". */
export function describeNegatives({ negatives, poolShare, rho }: RunConfig): string {
  const percent = (share: number): string => `${Math.round(1000 * share) / 10} %`;
  switch (negatives) {
    case "local":
      return `${percent(rho)} of the other classes' samples`;
    case "pool":
      return `as many samples of other classes as ${percent(rho)} of them are, at most all there are, from a public pool of ${percent(poolShare)} of the training samples that no device owns`;
    case "synthetic":
      return `as many samples as ${percent(rho)} of the other classes', made from its own by turning, shuffling or noise`;
    case "none":
      return "no samples but its own";
  }
}
