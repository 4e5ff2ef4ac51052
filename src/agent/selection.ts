/** Which of a device's samples a task works on. Decided by the seed, the device of the plan and the samples, never by when or how often. */
import { heldOutSamples, madeSources, poolBackground, splitLocal } from "../data/background.ts";
import type { Dataset } from "../data/dataset.ts";
import { decodePool, withPool } from "../data/pool.ts";
import type { OpenSamples } from "../data/samples.ts";
import type { BranchSamples } from "../harvest/branchJob.ts";
import type { Background, TaskSpec } from "../protocol/tasks.ts";
import { SheafError } from "../util/errors.ts";
import { inClassesOf } from "./ownData.ts";

/** What selection needs of the device. */
export interface SampleTools {
  /** The device's own data, in its own order of classes. */
  readonly data: Dataset;
  readonly openSamples: OpenSamples;
  /** An object's bytes, checked against their hash. `bytes` is its length where the offer does not list it. */
  readonly fetchObject: (sha256: string, bytes?: number) => Promise<Uint8Array>;
}

export interface Selection extends BranchSamples {
  /** In the run's classes; with a pool its samples lie behind the device's own. */
  readonly dataset: Dataset;
  readonly openSamples: OpenSamples;
  /** 1 at samples that are held out; all 0 unless the task says a share. */
  readonly isHeldOut: Uint8Array;
}

/**
 * How many samples of other classes a share `rho` of them is. A device knows only its own: this takes all classes to be as frequent as those of the task set.
 */
function countOfOthers(rho: number, ownSamples: number, taskSet: readonly number[], classCount: number): number {
  return Math.round((rho * ownSamples * (classCount - taskSet.length)) / taskSet.length);
}

function chooseLocal({ source, rho }: Background, { taskSet, seed, device, classNames }: TaskSpec, dataset: Dataset): BranchSamples {
  const none = new Uint32Array();
  const all = Uint32Array.from(dataset.labels.keys());
  const { own, background } = splitLocal(dataset, all, taskSet, source === "local" ? rho : 0, seed, device);
  if (source !== "synthetic") return { own, background, made: none };
  return { own, background: none, made: madeSources(own, countOfOthers(rho, own.length, taskSet, classNames.length), seed, device) };
}

/** Selects the samples of a task. Throws `data` when the device holds no sample of the task set, `corrupt` for a pool that is none. */
export async function selectSamples(spec: TaskSpec, { data, openSamples, fetchObject }: SampleTools): Promise<Selection> {
  const { background, taskSet, seed, device, classNames, otherClass, heldOutShare = 0 } = spec;
  const dataset = inClassesOf(data, classNames, otherClass);
  const chosen = chooseLocal(background, spec, dataset);
  if (chosen.own.length === 0) {
    const names = taskSet.map((id) => classNames[id] ?? String(id)).join(", ");
    throw new SheafError(
      "data",
      `${data.name} has no sample of ${names}, which task ${spec.taskId} is about; another device should have it.`,
    );
  }
  const isHeldOut = heldOutSamples(dataset, heldOutShare, seed);
  if (background.source !== "pool" || background.pool === undefined) return { ...chosen, dataset, openSamples, isHeldOut };
  const pool = decodePool(await fetchObject(background.pool), `The public pool ${background.pool.slice(0, 12)}`, classNames.length);
  const joined = withPool(dataset, pool, background.pool, openSamples);
  const others = pool.labels.reduce((count, label) => count + (taskSet.includes(label) ? 0 : 1), 0);
  const share = others === 0 ? 0 : Math.min(1, countOfOthers(background.rho, chosen.own.length, taskSet, classNames.length) / others);
  const drawn = poolBackground(joined.dataset, joined.pool, taskSet, share, seed, device);
  // What the pool adds is never held out: places behind the end of the array read as undefined.
  return { own: chosen.own, background: drawn, made: chosen.made, dataset: joined.dataset, openSamples: joined.openSamples, isHeldOut };
}

/** The selection without what is held out. A device all of whose own samples are held out keeps one. */
export function withoutHeldOut({ own, background, made, isHeldOut }: Selection): BranchSamples {
  const rest = (samples: Uint32Array): Uint32Array => samples.filter((i) => isHeldOut[i] !== 1);
  const kept = rest(own);
  return { own: kept.length > 0 ? kept : own.slice(0, 1), background: rest(background), made: rest(made) };
}

/** Samples of the statistics pass: own ones, and those background samples whose class no device owns and that no head could learn otherwise. */
export function summedSamples(
  { taskSet }: TaskSpec,
  { own, background, dataset, isHeldOut }: Selection,
): { readonly statistics: Uint32Array; readonly heldOut: Uint32Array } {
  const { labels, otherClass } = dataset;
  const isOther = otherClass !== undefined && !taskSet.includes(otherClass);
  const more = isOther ? background.filter((i) => labels[i] === otherClass) : [];
  const all = Uint32Array.from([...own, ...more]).sort();
  return { statistics: all.filter((i) => isHeldOut[i] !== 1), heldOut: all.filter((i) => isHeldOut[i] === 1) };
}
