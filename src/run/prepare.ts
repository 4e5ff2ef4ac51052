/** From a configuration and data to work: the plan, the sub-models, and what each device and control trains on. Reads no files and no clock. */
import { heldOutSamples, splitLocal } from "../data/background.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Partition } from "../data/partition/partition.ts";
import { partitioners } from "../data/partition/partitioners.ts";
import { decouple, type SubModel } from "../decouple/subModel.ts";
import { branchJob } from "../harvest/branchJob.ts";
import { narrow, type WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { branchCost, type Expected, expectedCost, fleetCost } from "../plan/cost.ts";
import type { Plan, PlannedDevice } from "../plan/plan.ts";
import { shaper } from "../plan/shape.ts";
import type { TrainingJob } from "../train/job.ts";
import { SheafError } from "../util/errors.ts";
import type { RunConfig } from "./config.ts";
import { controlIds, fleetOf } from "./fleet.ts";
import { headPlan, sumsWorkOf } from "./headPlan.ts";
import { localParts } from "./localData.ts";
import { negativesOf, sampleBytes, sampleSources } from "./negatives.ts";
import { activationSamplesPerClass, isActivated, planOf } from "./planning.ts";
import { statisticsSamples } from "./samples.ts";
import { settleWorkOf } from "./settlePlan.ts";
import type { WidthKind } from "./target.ts";
import { progressiveOf, subModelSettings, trainingSettings } from "./trainingSettings.ts";

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
  /** Samples of its statistics pass: its own or, by `heads.sums`, its part of them; and of those of a class that nobody owns. Without those held out. */
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

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 1;
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

/** What devices have where the plan decides it, as training samples; and what each of them sums where owners of a class take turns. */
function dealByClass(
  { partition, heads, rho, seed }: RunConfig,
  { labels, classNames }: Dataset,
  held: Uint32Array,
  plan: Plan,
): { readonly dealt?: Partition; readonly summed?: readonly Uint32Array[] } {
  if (partition.type !== "byClass") return {};
  const heldLabels = Uint16Array.from(held, (i) => labels[i] as number);
  const classesOf = plan.devices.map((d) => d.taskSet);
  const deal = (overlap: "share" | "split", backgroundShare: number): Partition => {
    const places = partitioners.byClass(heldLabels, classNames.length, { classesOf, overlap, backgroundShare }, seed);
    const samples = (parts: readonly Uint32Array[]): readonly Uint32Array[] => parts.map((part) => part.map((i) => held[i] as number));
    return { own: samples(places.own), background: samples(places.background) };
  };
  return { dealt: deal(partition.overlap, rho), ...(heads.sums === "once" && { summed: deal("split", 0).own }) };
}

/** The samples among `own` that a trained target is run on. */
export function activationSamples(labels: Uint16Array, own: Uint32Array): Uint32Array {
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
  const plan = planOf(config, target, train, locals, trained);
  const order = new Map(fleetOf(config, train.classNames).map(({ id }, i) => [id, i]));
  const subModels = decouple(
    target,
    plan.devices.map((d) => ({ device: d.id, taskSet: d.taskSet, widths: d.widths })),
  );
  const classes = train.classNames.length;
  const { dealt, summed } = dealByClass(config, train, held, plan);
  const progressive = progressiveOf(config, "narrow");
  const branches = plan.devices.map((d) => branchCost(d.network, progressive));
  const fleet = fleetCost(branches);
  const { macs: targetMacs, smallMacs: targetSmallMacs, weightBytes: targetBytes } = branchCost(target, config.training.progressive);
  const activated = isActivated(config, trained);
  const parts = plan.devices.map((planned, i) => {
    const local = locals?.[order.get(planned.id) ?? 0];
    const { own, background } = local
      ? splitLocal(train, local, planned.taskSet, config.rho, config.seed, planned.id)
      : {
          own: dealt?.own[i] ?? new Uint32Array(),
          background: dealt?.background[i] ?? new Uint32Array(),
        };
    if (own.length === 0) {
      throw new SheafError(
        "plan",
        `Device "${planned.id}" has no sample of its classes ${planned.taskSet.map((c) => train.classNames[c]).join(", ")}; give it other classes or another partition.`,
      );
    }
    return { own, ...negativesOf(config, train, pool, { device: planned.id, taskSet: planned.taskSet, own, dealt: background }) };
  });
  const passes = statisticsSamples(
    train.labels,
    parts.map(({ own, background }, i) => ({ summed: summed?.[i] ?? own, background })),
    train.otherClass,
  );
  const isHeldOut = heldOutSamples(train, config.heads.heldOutShare, config.seed);
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
  const jobs = devices.map((device) => branchJob(device.subModel, train, device, subModelSettings(config), config.seed));
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
