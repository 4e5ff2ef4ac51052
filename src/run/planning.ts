/** From a configuration and what is known of its data to a plan. */
import { type Dataset, samplesByClass } from "../data/dataset.ts";
import type { Network } from "../network/network.ts";
import { type Plan, planFleet } from "../plan/plan.ts";
import { SheafError } from "../util/errors.ts";
import type { RunConfig } from "./config.ts";
import { fleetOf } from "./fleet.ts";
import { headPlan, sumsWorkOf } from "./headPlan.ts";
import { byCount } from "./localData.ts";
import { backgroundShare, poolCounts, sampleBytes } from "./negatives.ts";
import { checkSettle, settleWorkOf } from "./settlePlan.ts";
import { progressiveOf } from "./trainingSettings.ts";

/** The superclass of each class. Throws `config` where there are none to go by. */
function coarseGroups({ partition }: RunConfig, { name, labels, classNames, coarse }: Dataset): readonly number[] {
  if (!coarse) {
    throw new SheafError(
      "config",
      `fleet.groupBy is "coarse", but ${name} has no superclasses; set it to "class" or use a set that has, such as cifar100.`,
    );
  }
  if (partition.type !== "byClass") {
    throw new SheafError(
      "config",
      `fleet.groupBy is "coarse", but with partition "${partition.type}" what a device holds decides what it owns; use the partition byClass.`,
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

/** The plan of a configuration for a target and its training data. Throws `plan` when there is none. */
export function planOf(config: RunConfig, target: Network, train: Dataset, locals?: readonly Uint32Array[]): Plan {
  const { fleet, training, seed, partition } = config;
  checkProgressiveData(config, train);
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
  const given = Object.fromEntries(
    Object.entries({
      backgroundCounts,
      backgroundSampleBytes: backgroundCounts && sampleBytes(train),
      settle: settleWorkOf(config),
      sums: sumsWorkOf(config),
      statisticsOverlap: config.heads.sums === "once" ? "split" : undefined,
      progressive: progressiveOf(config, "narrow"),
      wholeTarget: training.progressive ? undefined : true,
      trainedShare: headPlan(config).trainedShare,
      classesPerDevice: fleet.classesPerDevice,
      deadlineSeconds: fleet.deadlineSeconds,
      width: fleet.width,
      classGroups: fleet.groupBy === "coarse" ? coarseGroups(config, train) : undefined,
      unownedClasses: train.otherClass === undefined ? undefined : [train.otherClass],
    }).filter(([, value]) => value !== undefined),
  );
  const plan = (minimumRatio: number | undefined): Plan =>
    planFleet({
      target,
      classCount: train.classNames.length,
      classCounts: backgroundCounts ? allCounts.map((count, classId) => count - (backgroundCounts[classId] ?? 0)) : allCounts,
      devices,
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
      seed,
      ...given,
      ...(minimumRatio === undefined ? {} : { minimumRatio }),
    });
  if (fleet.minimumRatio !== undefined || fleet.width !== undefined) return plan(fleet.minimumRatio);
  return planTowards(plan);
}

/** Ratios aimed at where none is configured: the promise, and what comes nearest to it where training is too short for it. */
const ratioGoals = [11.8, 8, 4, 2];

/** The plan of the highest goal that costs no device its place. */
function planTowards(plan: (minimumRatio: number | undefined) => Plan): Plan {
  const unbound = plan(undefined);
  for (const goal of ratioGoals) {
    try {
      const aimed = plan(goal);
      if (aimed.devices.length >= unbound.devices.length) return aimed;
    } catch (error) {
      if (!(error instanceof SheafError && error.code === "plan")) throw error;
    }
  }
  return unbound;
}
