/** What is asked of the planner, and whether it makes sense. */
import type { Progressive } from "../compile/progressive.ts";
import type { Network } from "../network/network.ts";
import { outputShape } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import type { SettleWork, SumsWork } from "./cost.ts";
import type { DeviceProfile } from "./device.ts";
import type { ShapeChoice } from "./shape.ts";
import { ownableClasses } from "./taskSets.ts";

/** Widths that the planner considers are hundredths from here on. Below, the first layers of usual networks have hardly a filter left. */
export const narrowestWidth = 0.05;

/** A device of the fleet. */
export interface FleetDevice {
  readonly id: string;
  readonly profile: DeviceProfile;
  /** Training samples by class that it holds, where these are not all that `classCounts` counts. */
  readonly held?: readonly number[];
}

export interface PlanRequest {
  readonly target: Network;
  readonly classCount: number;
  /** Training samples by class. */
  readonly classCounts: readonly number[];
  readonly devices: readonly FleetDevice[];
  /** Every class is owned by at least so many devices. */
  readonly redundancy: number;
  /** Every class is owned by exactly one device. */
  readonly disjoint?: boolean;
  /** The same number of classes for every device (at most that many when disjoint). Without it, stronger devices take more. */
  readonly classesPerDevice?: number;
  /** Classes that no device is to own, such as "unknown": their samples are background only. None by default. */
  readonly unownedClasses?: readonly number[];
  /**
   * Group (superclass) of each class, any numbers: devices without preferences of their own then get whole groups, as far as their numbers of classes
   * allow. Where all groups are of one size and every device can carry one, numbers of classes that are not given are multiples of that size.
   */
  readonly classGroups?: readonly number[];
  /** Samples of a class with several owners: each has them all (`share`, default), or they are dealt out (`split`). */
  readonly overlap?: "share" | "split";
  /** Background samples as a share of all samples of classes that a device does not own, 0 to 1. */
  readonly rho: number;
  /** Samples by class that backgrounds are drawn from where they are not those of `classCounts`: a public pool's. */
  readonly backgroundCounts?: readonly number[];
  /** Bytes of a background sample where devices have to download it; 0 by default. */
  readonly backgroundSampleBytes?: number;
  /** Share of a device's samples that it trains on, the others being held out; all by default. */
  readonly trainedShare?: number;
  /** What the statistics pass sums beyond what every head needs; nothing by default. */
  readonly sums?: SumsWork;
  /** Of a warm start by class activation: the most samples of each own class that a device runs the trained target on; no such pass by default. */
  readonly activationSamples?: number;
  readonly epochs: number;
  /** Epochs that the full target is charged with in the ratio; `epochs` by default. */
  readonly targetEpochs?: number;
  readonly batchSize: number;
  /** Share of the samples that are trained on after a forward pass over all; 1 by default. */
  readonly hardShare?: number;
  /** Smaller images in the first epochs, of sub-models and target; none by default. */
  readonly progressive?: Progressive;
  /** The full target is charged for whole images even where sub-models begin with smaller ones; false by default. */
  readonly wholeTarget?: boolean;
  /** Every device must be done after that. */
  readonly deadlineSeconds?: number;
  /** Every device must compute at least so many times less than the full target would on its own samples. */
  readonly minimumRatio?: number;
  /** One width for all, instead of a width sized to each device. */
  readonly width?: number;
  /**
   * How a sub-model of width r spreads the multiply-adds of the target narrowed to r over its layers: by the network's own recipe (default), all
   * layers alike, or by a profile.
   */
  readonly shape?: ShapeChoice;
  /** Widest width to choose; 1 by default. */
  readonly maxWidth?: number;
  /** Whether devices run all branches over their own samples once, which head H2 needs; true by default, and charged. */
  readonly statisticsPass?: boolean;
  /** Whether every owner of a class runs that pass over all samples that it has of it (`share`), or each sample passes one of its owners (`split`); as `overlap` by default. */
  readonly statisticsOverlap?: "share" | "split";
  /** Settle passes of every device, charged; none by default. */
  readonly settle?: SettleWork;
  readonly seed: number;
}

/** Throws `config` on a request that contradicts itself, `plan` where there is no device or a class without samples. */
export function checkRequest({ target, classCount, classCounts, classGroups, devices, ...rest }: PlanRequest): void {
  const refuse = (message: string): never => {
    throw new SheafError("config", message);
  };
  const logits = outputShape(target).channels;
  if (logits !== classCount || classCounts.length !== classCount || (rest.backgroundCounts?.length ?? classCount) !== classCount) {
    refuse(
      `"${target.name}" has ${logits} logits, but there are ${classCount} classes with ${classCounts.length} sample counts; all three must agree.`,
    );
  }
  if (classGroups && classGroups.length !== classCount)
    refuse(`There are ${classCount} classes, but ${classGroups.length} of them have a group; give every class one.`);
  const ownable = ownableClasses(classCount, rest.unownedClasses);
  const missing = classCounts.findIndex((count, classId) => !(count > 0) && ownable.includes(classId));
  if (missing >= 0)
    throw new SheafError(
      "plan",
      `Class ${missing} has no training sample, so that no device can learn it; leave the class out or add samples.`,
    );
  if (devices.length === 0) throw new SheafError("plan", "There is no device to plan for; add devices to the fleet.");
  const ids = new Set<string>();
  for (const { id, profile } of devices) {
    if (ids.has(id)) refuse(`Device "${id}" is listed twice; give every device an id of its own.`);
    ids.add(id);
    for (const key of ["macsPerSecond", "memoryBytes", "bandwidthBitsPerSecond"] as const) {
      if (!(profile[key] > 0)) refuse(`Device "${id}": ${key} must be positive, got ${profile[key]}.`);
    }
  }
  const { rho, width, maxWidth, deadlineSeconds, minimumRatio, classesPerDevice } = rest;
  if (!(rho >= 0 && rho <= 1)) refuse(`The background share rho must lie between 0 and 1, got ${rho}.`);
  for (const [name, value] of Object.entries({
    epochs: rest.epochs,
    targetEpochs: rest.targetEpochs,
    batchSize: rest.batchSize,
    redundancy: rest.redundancy,
    classesPerDevice,
  })) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1))
      refuse(`${name} must be a whole number of at least 1, got ${value}.`);
  }
  for (const [name, value] of Object.entries({ width, deadlineSeconds, minimumRatio })) {
    if (value !== undefined && !(value > 0)) refuse(`${name} must be positive, got ${value}.`);
  }
  if (maxWidth !== undefined && !(maxWidth >= narrowestWidth)) refuse(`maxWidth must be at least ${narrowestWidth}, got ${maxWidth}.`);
  if (classesPerDevice !== undefined && classesPerDevice > ownable.length) {
    refuse(`classesPerDevice is ${classesPerDevice}, but there are ${ownable.length} classes to own; choose at most that many.`);
  }
}
