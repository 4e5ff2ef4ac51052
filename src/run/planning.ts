/** From a configuration and what is known of its data to a plan. */
import { type Dataset, samplesByClass } from "../data/dataset.ts";
import type { Network } from "../network/network.ts";
import { type Plan, planFleet } from "../plan/plan.ts";
import { planTowards } from "../plan/planTowards.ts";
import type { PlanRequest } from "../plan/request.ts";
import { SheafError } from "../util/errors.ts";
import type { RunConfig } from "./config.ts";
import { fleetOf } from "./fleet.ts";
import { headPlan, sumsWorkOf } from "./headPlan.ts";
import { byCount } from "./localData.ts";
import { backgroundShare, poolCounts, sampleBytes } from "./negatives.ts";
import { checkSettle, settleWorkOf } from "./settlePlan.ts";
import { progressiveOf } from "./trainingSettings.ts";

/** The superclass of each class. Throws `config` where there are none to go by, `data` where a class lies in several. */
export function coarseGroups({ name, labels, classNames, coarse }: Dataset): readonly number[] {
  if (!coarse) {
    throw new SheafError(
      "config",
      `fleet.groupBy is "coarse", but ${name} has no superclasses; set it to "class" or use a set that has, such as cifar100.`,
    );
  }
  const groups = classNames.map((_, classId) => coarse.labels[labels.indexOf(classId)] ?? 0);
  const odd = labels.findIndex((label, i) => coarse.labels[i] !== groups[label]);
  if (odd >= 0) {
    throw new SheafError(
      "data",
      `Sample ${odd} of ${name}, of class "${classNames[labels[odd] ?? 0]}", is in another superclass than the first of its class; a class must lie in one superclass.`,
    );
  }
  return groups;
}

/** Throws `config` where images in the first epochs are to be smaller and samples are clips. */
function checkProgressiveData({ training, fleet }: RunConfig, { name, audio }: Dataset): void {
  if (training.progressive && fleet.progressive) {
    throw new SheafError(
      "config",
      "training.progressive is of sub-models and target, fleet.progressive of sub-models alone, and both are given; leave one of them out.",
    );
  }
  if (!(training.progressive || fleet.progressive) || !audio) return;
  const key = training.progressive ? "training.progressive" : "fleet.progressive";
  throw new SheafError("config", `${key} makes images smaller, but the samples of ${name} are clips; leave it out.`);
}

/** Samples of each own class that a trained target is run on: plenty for a mean. */
export const activationSamplesPerClass = 64;

/** Whether devices run a trained target on samples of theirs, by which the filters that they start from are chosen. */
export const isActivated = ({ fleet }: RunConfig, trained: boolean): boolean => trained && fleet.warmStart === "activation";

/** What the planner is told beside the target, the classes, their samples and the devices. */
export type PlanSettings = Omit<PlanRequest, "target" | "classCount" | "classCounts" | "devices" | "seed">;

/** What a configuration tells the planner; of the data set, that of it which is known without its samples. */
export function planSettings(config: RunConfig, otherClass: number | undefined): PlanSettings {
  const { fleet, training, partition } = config;
  const given = Object.fromEntries(
    Object.entries({
      settle: settleWorkOf(config),
      sums: sumsWorkOf(config),
      progressive: progressiveOf(config, "narrow"),
      wholeTarget: training.progressive ? undefined : true,
      trainedShare: headPlan(config).trainedShare,
      classesPerDevice: fleet.classesPerDevice,
      deadlineSeconds: fleet.deadlineSeconds,
      width: fleet.width,
      unownedClasses: otherClass === undefined ? undefined : [otherClass],
    }).filter(([, value]) => value !== undefined),
  );
  return {
    redundancy: fleet.redundancy,
    disjoint: fleet.disjoint,
    maxWidth: fleet.maxWidth,
    shape: fleet.shape,
    hardShare: fleet.hardShare,
    rho: backgroundShare(config),
    epochs: fleet.epochs ?? training.epochs,
    targetEpochs: training.epochs,
    batchSize: training.batchSize,
    statisticsPass: true,
    overlap: partition.type === "byClass" ? partition.overlap : "split",
    ...given,
  };
}

/** Throws `config` where devices play a partition in which they do not choose what they own. */
function checkGroups({ partition }: RunConfig): void {
  if (partition.type === "byClass") return;
  throw new SheafError(
    "config",
    `fleet.groupBy is "coarse", but with partition "${partition.type}" what a device holds decides what it owns; use the partition byClass.`,
  );
}

/** The plan of a configuration for a target, which may be trained, and its training data. Throws `plan` when there is none. */
export function planOf(config: RunConfig, target: Network, train: Dataset, locals?: readonly Uint32Array[], trained = false): Plan {
  const { fleet, seed } = config;
  checkProgressiveData(config, train);
  if (fleet.groupBy === "coarse") checkGroups(config);
  const devices = fleetOf(config, train.classNames).map(({ id, profile }, i) => {
    const local = locals?.[i];
    return { id, profile: local && !profile.preferredClasses ? { ...profile, preferredClasses: byCount(train, local) } : profile };
  });
  checkSettle(
    config,
    devices.map(({ id }) => id),
  );
  const allCounts = samplesByClass(train.labels, train.classNames.length).map((group) => group.length);
  const backgroundCounts = config.negatives === "pool" ? poolCounts(config, allCounts) : undefined;
  const settings: PlanSettings = {
    ...planSettings(config, train.otherClass),
    ...(backgroundCounts ? { backgroundCounts, backgroundSampleBytes: sampleBytes(train) } : {}),
    ...(config.heads.sums === "once" ? { statisticsOverlap: "split" } : {}),
    ...(isActivated(config, trained) ? { activationSamples: activationSamplesPerClass } : {}),
    ...(fleet.groupBy === "coarse" ? { classGroups: coarseGroups(train) } : {}),
  };
  const plan = (minimumRatio: number | undefined): Plan =>
    planFleet({
      ...settings,
      target,
      classCount: train.classNames.length,
      classCounts: backgroundCounts ? allCounts.map((count, classId) => count - (backgroundCounts[classId] ?? 0)) : allCounts,
      devices,
      seed,
      ...(minimumRatio === undefined ? {} : { minimumRatio }),
    });
  if (fleet.minimumRatio !== undefined || fleet.width !== undefined) return plan(fleet.minimumRatio);
  return planTowards(plan);
}
