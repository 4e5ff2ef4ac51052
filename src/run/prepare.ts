/** From a configuration and data to work: the plan, the sub-models, and what each device and control trains on. Reads no files and no clock. */
import type { Progressive } from "../compile/progressive.ts";
import type { ScheduleConfig } from "../compile/schedules.ts";
import { type Dataset, drawStratified, samplesByClass } from "../data/dataset.ts";
import { withMadeNegatives } from "../data/made.ts";
import { partitioners } from "../data/partition/partitioners.ts";
import { decouple, localLabel, type SubModel } from "../decouple/subModel.ts";
import { narrow, type WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { branchCost, type Expected, expectedCost, fleetCost } from "../plan/cost.ts";
import { type DeviceProfile, resolveProfile } from "../plan/device.ts";
import { type Plan, type PlannedDevice, planFleet } from "../plan/plan.ts";
import { shaper } from "../plan/shape.ts";
import type { TrainingJob, TrainingSettings } from "../train/job.ts";
import { SheafError } from "../util/errors.ts";
import type { DeviceConfig, RunConfig } from "./config.ts";
import { headPlan, heldOutSamples, sumsWorkOf } from "./headPlan.ts";
import { backgroundShare, negativesOf, poolCounts, sampleBytes, sampleSources } from "./negatives.ts";
import { statisticsSamples } from "./samples.ts";
import { checkSettle, settleWorkOf } from "./settlePlan.ts";
import { peakLearningRate, type WidthKind } from "./target.ts";

/** A device with its samples. */
export interface PreparedDevice {
  readonly planned: PlannedDevice;
  readonly subModel: SubModel;
  /** Indices into the training set. */
  readonly own: Uint32Array;
  readonly background: Uint32Array;
  /** Own samples that a negative is made of, one for each entry; empty unless negatives are synthetic. */
  readonly made: Uint32Array;
  /** Bytes of the background samples that it downloads from a public pool. */
  readonly poolBytes: number;
  /** Samples of its statistics pass: its own, and its part of those of a class that nobody owns; without those held out. */
  readonly statistics: Uint32Array;
  /** Samples of its statistics pass whose sums are kept apart, to choose ridges on; none unless asked for. */
  readonly heldOut: Uint32Array;
  /** Own samples that a trained target is run on, for a warm start by class activation; none otherwise. */
  readonly activation: Uint32Array;
  /** Expected cost with the samples that it really has. */
  readonly expected: Expected;
}

export interface PreparedRun {
  readonly target: Network;
  readonly plan: Plan;
  readonly devices: readonly PreparedDevice[];
  /** Size of the slim control: the median of the devices' sizes. */
  readonly slimSize: number;
  /** The slim control's widths, in the shape of the sub-models. */
  readonly slimWidth: WidthFactors;
  readonly jobs: readonly TrainingJob[];
}

/** Ids of the control jobs; no device may be called so. */
export const controlIds = { central: "central", slim: "slim" } as const;

/** The schedule of a configuration, with the network's own learning rate where none is configured. */
export function scheduleOf(config: RunConfig, kind: WidthKind): ScheduleConfig {
  const { type, warmup } = config.training.schedule;
  const learningRate = peakLearningRate(config, kind);
  switch (type) {
    case "constant":
      return { type, learningRate };
    case "cosine":
      return { type, learningRate, warmup };
    case "oneCycle":
      return { type, learningRate, rise: warmup };
  }
}

/** Smaller images in the first epochs: of the target, or of sub-models and the slim control, which may have them alone. */
export function progressiveOf({ training, fleet }: RunConfig, kind: WidthKind): Progressive | undefined {
  return kind === "narrow" ? (fleet.progressive ?? training.progressive) : training.progressive;
}

/** Training settings of a configuration: of the target, or of sub-models and the slim control, which may have epochs of their own. */
export function trainingSettings(config: RunConfig, kind: WidthKind): TrainingSettings {
  const { epochs, batchSize, optimizer, labelSmoothing, emaDecay, augmentation, logitAdjustment } = config.training;
  const progressive = progressiveOf(config, kind);
  return {
    epochs: kind === "narrow" ? (config.fleet.epochs ?? epochs) : epochs,
    batchSize,
    optimizer,
    schedule: scheduleOf(config, kind),
    labelSmoothing,
    emaDecay,
    augmentation,
    ...(logitAdjustment > 0 ? { logitAdjustment } : {}),
    ...(progressive ? { progressive } : {}),
  };
}

/** Training settings of sub-models and the slim control in their own training. */
export function subModelSettings(config: RunConfig): TrainingSettings {
  const { hardShare } = config.fleet;
  return { ...trainingSettings(config, "narrow"), ...(hardShare < 1 ? { hardShare } : {}) };
}

/** A class by name or number. Throws `config` naming the classes there are. */
export function classIdOf(value: string | number, classNames: readonly string[]): number {
  const id = typeof value === "number" ? value : classNames.indexOf(value);
  if (id >= 0 && id < classNames.length) return id;
  const known = classNames.length > 20 ? `${classNames.slice(0, 20).join(", ")}, ...` : classNames.join(", ");
  throw new SheafError("config", `Unknown class ${JSON.stringify(value)}; the data set has ${classNames.length} classes: ${known}.`);
}

function profileOf(device: DeviceConfig, classNames: readonly string[]): DeviceProfile {
  const { profile, classes, id, macsPerSecond, memoryBytes, bandwidthBitsPerSecond, watts } = device;
  const given = Object.fromEntries(
    Object.entries({ macsPerSecond, memoryBytes, bandwidthBitsPerSecond, watts }).filter(([, v]) => v !== undefined),
  );
  // By itself first: an unknown name is then what the error is about.
  if (profile !== undefined) resolveProfile(profile);
  const base = resolveProfile(profile === undefined ? { name: id ?? "custom", ...given } : { like: profile, ...given });
  return classes ? { ...base, preferredClasses: classes.map((c) => classIdOf(c, classNames)) } : base;
}

/** Devices with unique ids: as configured, or the profile's name with a number where it comes more than once. */
export function fleetOf(
  config: RunConfig,
  classNames: readonly string[],
): readonly { readonly id: string; readonly profile: DeviceProfile }[] {
  const profiles = config.fleet.devices.map((device) => profileOf(device, classNames));
  const seen = new Map<string, number>();
  const ids = config.fleet.devices.map((device, i) => {
    if (device.id !== undefined) return device.id;
    const name = profiles[i]?.name ?? "device";
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return profiles.filter((p) => p.name === name).length > 1 ? `${name}-${count}` : name;
  });
  const twice = ids.find((id, i) => ids.indexOf(id) !== i || Object.hasOwn(controlIds, id));
  if (twice !== undefined)
    throw new SheafError(
      "config",
      `Device id "${twice}" is taken; give every device an id of its own (central and slim are the controls').`,
    );
  return ids.map((id, i) => ({ id, profile: profiles[i] as DeviceProfile }));
}

/** Local data first, plan second: what each device holds says what it prefers. */
function localParts(config: RunConfig, train: Dataset, held: Uint32Array, deviceCount: number): readonly Uint32Array[] | undefined {
  const labels = Uint16Array.from(held, (i) => train.labels[i] as number);
  return localPlaces(config, labels, train.classNames.length, deviceCount)?.map((part) => part.map((place) => held[place] as number));
}

function localPlaces(
  { partition, seed }: RunConfig,
  labels: Uint16Array,
  classes: number,
  deviceCount: number,
): readonly Uint32Array[] | undefined {
  switch (partition.type) {
    case "byClass":
      return undefined;
    case "dirichlet":
      return partitioners.dirichlet(labels, classes, { deviceCount, alpha: partition.alpha }, seed).own;
    case "shards":
      return partitioners.shards(labels, classes, { deviceCount, shardsPerDevice: partition.shardsPerDevice }, seed).own;
    case "iid":
      return partitioners.iid(labels, classes, { deviceCount }, seed).own;
  }
}

/** Own samples and a background share of what else the device holds. */
function splitLocal(
  train: Dataset,
  local: Uint32Array,
  taskSet: readonly number[],
  rho: number,
  seed: number,
  device: string,
): { own: Uint32Array; background: Uint32Array } {
  const mine = new Set(taskSet);
  const own = local.filter((i) => mine.has(train.labels[i] ?? -1));
  const others = local.filter((i) => !mine.has(train.labels[i] ?? -1));
  const groups = samplesByClass(train.labels, train.classNames.length).map(() => [] as number[]);
  for (const i of others) groups[train.labels[i] as number]?.push(i);
  return { own, background: drawStratified(groups, Math.round(rho * others.length), seed, "background", device) };
}

/** Classes of a device's local samples that it may own, most samples first. */
function byCount(train: Dataset, local: Uint32Array): number[] {
  const counts = train.classNames.map(() => 0);
  for (const i of local) counts[train.labels[i] as number] = (counts[train.labels[i] as number] ?? 0) + 1;
  return counts
    .map((count, id) => ({ count, id }))
    .filter(({ count, id }) => count > 0 && id !== train.otherClass)
    .sort((a, b) => b.count - a.count || a.id - b.id)
    .map(({ id }) => id);
}

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

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 1;
}

/** Job of a device: its samples with local labels, the sub-model. */
function deviceJob(
  config: RunConfig,
  train: Dataset,
  { subModel, own, background, made }: Pick<PreparedDevice, "subModel" | "own" | "background" | "made">,
): TrainingJob {
  const count = train.labels.length;
  const dataset = made.length > 0 ? withMadeNegatives(train, made, config.seed) : train;
  const samples = new Uint32Array([...own, ...background, ...made.map((_, i) => count + i)]);
  // What was made of a sample is "other", whatever its source is.
  const labels = Uint16Array.from(samples, (i) =>
    i < count ? localLabel(subModel.taskSet, train.labels[i] ?? 0) : subModel.taskSet.length,
  );
  return {
    id: subModel.device,
    network: subModel.network,
    dataset,
    samples,
    labels,
    settings: subModelSettings(config),
    seed: config.seed,
  };
}

/** Job of a control: all samples, all classes. */
export function controlJob(config: RunConfig, train: Dataset, id: string, network: Network, kind: WidthKind): TrainingJob {
  return {
    id,
    network,
    dataset: train,
    samples: Uint32Array.from(train.labels.keys()),
    labels: train.labels,
    settings: trainingSettings(config, kind),
    seed: config.seed,
  };
}

/** Samples of each own class that a trained target is run on: plenty for a mean. */
const activationSamplesPerClass = 64;

function activationSamples(labels: Uint16Array, own: Uint32Array): Uint32Array {
  const taken = new Map<number, number>();
  return own.filter((sample) => {
    const label = labels[sample] as number;
    const count = taken.get(label) ?? 0;
    taken.set(label, count + 1);
    return count < activationSamplesPerClass;
  });
}

/**
 * Prepares a run. Deterministic in its arguments. `trained` says whether the target has weights that devices may start from.
 * Throws `plan` when no plan exists, `config` on unknown classes, profiles or ids.
 */
export function prepareRun(config: RunConfig, target: Network, train: Dataset, trained = false): PreparedRun {
  const { held, pool } = sampleSources(config, train);
  const locals = localParts(config, train, held, config.fleet.devices.length);
  const plan = planOf(config, target, train, locals);
  const order = new Map(fleetOf(config, train.classNames).map(({ id }, i) => [id, i]));
  const subModels = decouple(
    target,
    plan.devices.map((d) => ({ device: d.id, taskSet: d.taskSet, widths: d.widths })),
  );
  const classes = train.classNames.length;
  const dealt =
    config.partition.type === "byClass"
      ? partitioners.byClass(
          Uint16Array.from(held, (i) => train.labels[i] as number),
          classes,
          { classesOf: plan.devices.map((d) => d.taskSet), overlap: config.partition.overlap, backgroundShare: config.rho },
          config.seed,
        )
      : undefined;
  const progressive = progressiveOf(config, "narrow");
  const branches = plan.devices.map((d) => branchCost(d.network, progressive));
  const fleet = fleetCost(branches);
  const { macs: targetMacs, smallMacs: targetSmallMacs, weightBytes: targetBytes } = branchCost(target, config.training.progressive);
  const activated = trained && config.fleet.warmStart === "activation";
  const parts = plan.devices.map((planned, i) => {
    const local = locals?.[order.get(planned.id) ?? 0];
    const { own, background } = local
      ? splitLocal(train, local, planned.taskSet, config.rho, config.seed, planned.id)
      : {
          own: (dealt?.own[i] ?? new Uint32Array()).map((place) => held[place] as number),
          background: (dealt?.background[i] ?? new Uint32Array()).map((place) => held[place] as number),
        };
    if (own.length === 0) {
      throw new SheafError(
        "plan",
        `Device "${planned.id}" has no sample of its classes ${planned.taskSet.map((c) => train.classNames[c]).join(", ")}; give it other classes or another partition.`,
      );
    }
    return { own, ...negativesOf(config, train, pool, { device: planned.id, taskSet: planned.taskSet, own, dealt: background }) };
  });
  const passes = statisticsSamples(train.labels, parts, train.otherClass);
  const isHeldOut = heldOutSamples(config, train);
  const devices = plan.devices.map((planned, i): PreparedDevice => {
    const { own, background, made } = headPlan(config).trainedOf(parts[i] as (typeof parts)[number], isHeldOut);
    const passed = passes[i] as Uint32Array;
    const [statistics, heldOut] = [passed.filter((s) => isHeldOut[s] !== 1), passed.filter((s) => isHeldOut[s] === 1)];
    const sums = sumsWorkOf(config);
    const activation = activated ? activationSamples(train.labels, own) : new Uint32Array();
    const poolBytes = pool.length > 0 ? background.length * sampleBytes(train) : 0;
    const settle = settleWorkOf(config, planned.id);
    const workload = {
      ownSamples: own.length,
      backgroundSamples: background.length,
      madeSamples: made.length,
      hardShare: config.fleet.hardShare,
      sampleBytesDown: poolBytes,
      statisticsSamples: passed.length,
      ...(sums && { sums }),
      epochs: planned.epochs,
      targetEpochs: config.training.epochs,
      batchSize: planned.batchSize,
      targetMacs,
      classCount: classes,
      ...(progressive ? { progressive: { ...progressive, targetSmallMacs } } : {}),
      ...(activated ? { warmStart: { samples: activation.length, targetBytes } } : {}),
      ...(settle && { settle }),
    };
    return {
      planned,
      subModel: subModels[i] as SubModel,
      own,
      background,
      made,
      poolBytes,
      statistics,
      heldOut,
      activation,
      expected: expectedCost(branches[i] as ReturnType<typeof branchCost>, workload, planned.profile, fleet),
    };
  });
  const slimSize = median(plan.devices.map((d) => d.size));
  const slimWidth = shaper(target, config.fleet.shape)(slimSize);
  const jobs = devices.map((device) => deviceJob(config, train, device));
  if (config.controls.slim)
    jobs.push({ ...controlJob(config, train, controlIds.slim, narrow(target, slimWidth), "narrow"), settings: subModelSettings(config) });
  if (config.controls.central) jobs.push(controlJob(config, train, controlIds.central, target, "wide"));
  return { target, plan, devices, slimSize, slimWidth, jobs };
}

/** Minimum, median and maximum; the mean of the middle two for an even number. */
export function spread(values: readonly number[]): { readonly min: number; readonly median: number; readonly max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const mid = sorted.length % 2 === 1 ? (sorted[Math.floor(middle)] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
  return { min: sorted[0] ?? 0, median: mid, max: sorted.at(-1) ?? 0 };
}
