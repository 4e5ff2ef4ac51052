/** How accurate the model is when devices are lost: every single one, and some larger sets drawn from the seed. */
import { overAllBranches } from "../harvest/erasure.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import type { Head } from "../harvest/heads.ts";
import { makeHead } from "../harvest/makeHead.ts";
import { random, shuffle } from "../util/random.ts";
import type { Tensor } from "../util/tensor.ts";
import type { RunConfig } from "./config.ts";
import { sourceWithout } from "./sums.ts";
import { throwIfInterrupted } from "./trainJobs.ts";

/** Heads that need no more than what devices have sent, whoever is lost. */
const lostTypes = ["H0", "H2"] as const;

/** Accuracies without some devices. */
export interface LostDevices {
  readonly devices: readonly string[];
  readonly H0: number;
  readonly H2: number;
}

/** Sizes of the larger sets: 2, 4, 8 and so on below half of the devices, and half. */
function sizesOf(count: number): readonly number[] {
  const half = Math.floor(count / 2);
  const sizes = [2, 4, 8, 16, 32].filter((size) => size < half);
  return half >= 2 ? [...sizes, half] : [];
}

/**
 * The sets of devices that are tried as lost: every single one, then up to `sets` distinct ones of each larger size, in the order of `devices`. None where there is only one
 * device, or `sets` is 0. Deterministic in its arguments.
 */
export function lostSetsOf(devices: readonly string[], sets: number, seed: number): readonly (readonly string[])[] {
  if (devices.length < 2 || sets === 0) return [];
  const found = new Map(devices.map((device) => [device, [device] as readonly string[]]));
  for (const size of sizesOf(devices.length)) {
    // A few draws may repeat a set where there are few: then there are fewer sets of that size.
    for (let draw = 0, added = 0; added < sets && draw < 8 * sets; draw++) {
      const order = shuffle(Uint32Array.from(devices.keys()), random(seed, "lost", size, draw));
      const chosen = [...order.subarray(0, size)].sort((a, b) => a - b).map((i) => devices[i] as string);
      const key = chosen.join(" ");
      if (found.has(key)) continue;
      found.set(key, chosen);
      added++;
    }
  }
  return [...found.values()];
}

/** Counts right answers of heads, batch by batch, by the names of their outputs. */
export class LostTally {
  readonly sets: readonly (readonly string[])[];
  /** By output name, over all branches. */
  readonly heads: ReadonlyMap<string, Head>;
  readonly #right = new Map<string, number>();
  #samples = 0;

  constructor(sets: readonly (readonly string[])[], heads: ReadonlyMap<string, Head>) {
    this.sets = sets;
    this.heads = heads;
  }

  /** Takes the outputs of a branch graph with these heads, and the true classes of its samples. */
  add(outputs: Readonly<Record<string, Tensor>>, labels: readonly number[]): void {
    this.#samples += labels.length;
    for (const name of this.heads.keys()) {
      const logits = outputs[name]?.data as Float32Array;
      const classes = logits.length / labels.length;
      let right = 0;
      labels.forEach((label, row) => {
        const own = logits.subarray(row * classes, (row + 1) * classes);
        if (own.indexOf(Math.max(...own)) === label) right++;
      });
      this.#right.set(name, (this.#right.get(name) ?? 0) + right);
    }
  }

  accuracies(): readonly LostDevices[] {
    const of = (set: number, type: (typeof lostTypes)[number]): number =>
      (this.#right.get(outputName(set, type)) ?? 0) / Math.max(1, this.#samples);
    return this.sets.map((devices, i) => ({ devices, H0: of(i, "H0"), H2: of(i, "H2") }));
  }
}

const outputName = (set: number, type: string): string => `lost${set}.${type}`;

/**
 * Heads for every set of lost devices, to be evaluated in one pass of the branches. `devices` are all that have kept sums in `path`.
 * Throws as `sourceWithout`; `interrupted` when `signal` is aborted.
 */
export async function makeLostHeads(
  path: string,
  config: RunConfig,
  devices: readonly string[],
  harvested: readonly Harvested[],
  classCount: number,
  signal?: AbortSignal,
): Promise<LostTally> {
  const subModels = harvested.map((h) => h.subModel);
  const layout = layOut(subModels);
  const sets = lostSetsOf(
    subModels.map(({ device }) => device),
    config.heads.lostSets,
    config.seed,
  );
  const heads = new Map<string, Head>();
  for (const [i, lost] of sets.entries()) {
    throwIfInterrupted(signal, path);
    const source = await sourceWithout(path, config, devices, harvested, classCount, lost);
    for (const type of lostTypes) heads.set(outputName(i, type), overAllBranches(makeHead(type, source), layout, lost));
  }
  return new LostTally(sets, heads);
}
