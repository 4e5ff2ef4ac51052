/** What a device trains on beside its own classes, chosen from samples that it holds or was given. Pure: samples are places in a data set. */
import { random, shuffle } from "../util/random.ts";
import { type Dataset, drawStratified, samplesByClass } from "./dataset.ts";

/** Counts samples per class in lists of indices. */
export function classCountsOf(labels: Uint16Array, classCount: number, ...parts: readonly Uint32Array[]): number[] {
  const counts = Array.from({ length: classCount }, () => 0);
  for (const part of parts) {
    for (const i of part) {
      const label = labels[i] as number;
      counts[label] = (counts[label] as number) + 1;
    }
  }
  return counts;
}

/** `indices` by class, those of the task set left out. */
function othersByClass({ labels, classNames }: Dataset, indices: Uint32Array, taskSet: readonly number[]): number[][] {
  const mine = new Set(taskSet);
  const groups = classNames.map((): number[] => []);
  for (const i of indices) if (!mine.has(labels[i] as number)) groups[labels[i] as number]?.push(i);
  return groups;
}

const sizeOf = (groups: readonly (readonly number[])[]): number => groups.reduce((sum, group) => sum + group.length, 0);

/** Own samples of a device, and a background share `rho` of what else it holds; `local` are all its samples. */
export function splitLocal(
  train: Dataset,
  local: Uint32Array,
  taskSet: readonly number[],
  rho: number,
  seed: number,
  device: string,
): { own: Uint32Array; background: Uint32Array } {
  const mine = new Set(taskSet);
  const groups = othersByClass(train, local, taskSet);
  return {
    own: local.filter((i) => mine.has(train.labels[i] ?? -1)),
    background: drawStratified(groups, Math.round(rho * sizeOf(groups)), seed, "background", device),
  };
}

/** A share of a public pool's samples of other classes than the device's own. */
export function poolBackground(
  train: Dataset,
  pool: Uint32Array,
  taskSet: readonly number[],
  share: number,
  seed: number,
  device: string,
): Uint32Array {
  const groups = othersByClass(train, pool, taskSet);
  return drawStratified(groups, Math.round(share * sizeOf(groups)), seed, "poolBackground", device);
}

/** The own samples that negatives are made of: as many as asked for, in turns of seeded order. */
export function madeSources(own: Uint32Array, count: number, seed: number, device: string): Uint32Array {
  const order = shuffle(own.slice(), random(seed, "made", device));
  return Uint32Array.from({ length: own.length > 0 ? count : 0 }, (_, i) => order[i % order.length] as number);
}

/** Own samples, and a share of the background, drawn anew for each settle pass. */
export function settleSamples(
  { labels, classNames }: Dataset,
  own: Uint32Array,
  background: Uint32Array,
  share: number,
  seed: number,
  device: string,
  pass: number,
): Uint32Array {
  if (share === 1) return new Uint32Array([...own, ...background]);
  const groups = classNames.map((): number[] => []);
  for (const i of background) groups[labels[i] as number]?.push(i);
  return new Uint32Array([...own, ...drawStratified(groups, Math.round(share * background.length), seed, "settle", device, pass)]);
}

/** 1 at the samples that are held out, a share of each class drawn evenly from the seed: the same for all who have these samples. */
export function heldOutSamples({ labels, classNames }: Dataset, share: number, seed: number): Uint8Array {
  const isHeldOut = new Uint8Array(labels.length);
  if (share === 0) return isHeldOut;
  const groups = samplesByClass(labels, classNames.length);
  for (const i of drawStratified(groups, Math.round(share * labels.length), seed, "heldOut")) isHeldOut[i] = 1;
  return isHeldOut;
}
