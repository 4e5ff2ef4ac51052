/** Plans a fleet: who trains which classes, at which width, and what it will cost. Pure: the same request gives the same plan. */
import { decouple } from "../decouple/subModel.ts";
import type { WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { networkCost, outputShape } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { classShares, type Reach, reachOf } from "./capacities.ts";
import type { Expected, Workload } from "./cost.ts";
import type { DeviceProfile } from "./device.ts";
import { countSamples } from "./samples.ts";
import { assignTaskSets, type TaskSets } from "./taskSets.ts";
import { branchCosts, sizeWidths } from "./widths.ts";

/** Widths that the planner considers are hundredths from here on. Below, the first layers of usual networks have hardly a filter left. */
export const narrowestWidth = 0.05;

/** A device of the fleet. */
export interface FleetDevice {
  readonly id: string;
  readonly profile: DeviceProfile;
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
  /** Samples of a class with several owners: each has them all (`share`, default), or they are dealt out (`split`). */
  readonly overlap?: "share" | "split";
  /** Background samples as a share of all samples of classes that a device does not own, 0 to 1. */
  readonly rho: number;
  readonly epochs: number;
  readonly batchSize: number;
  /** Every device must be done after that. */
  readonly deadlineSeconds?: number;
  /** Every device must compute at least so many times less than the full target would on its own samples. */
  readonly minimumRatio?: number;
  /** One width for all, instead of a width sized to each device. */
  readonly width?: number;
  /** Widest width to choose; 1 by default. */
  readonly maxWidth?: number;
  /** Whether devices run all branches over their own samples once, which head H2 needs; true by default, and charged. */
  readonly statisticsPass?: boolean;
  readonly seed: number;
}

/** What one device is to do. */
export interface PlannedDevice extends FleetDevice {
  /** Class ids, ascending. */
  readonly taskSet: readonly number[];
  readonly widths: WidthFactors;
  readonly network: Network;
  readonly epochs: number;
  readonly batchSize: number;
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  readonly expected: Expected;
}

export interface Plan {
  /** Name of the target network. */
  readonly target: string;
  /** In the order of the request, without the excluded. */
  readonly devices: readonly PlannedDevice[];
  readonly redundancy: number;
  /** Least Hamming distance between the codewords of two classes. */
  readonly leastDistance: number;
  /** Ids of the owners, by class. */
  readonly codewords: readonly (readonly string[])[];
  /** Devices that cannot take part, each with the reason, a sentence. */
  readonly excluded: readonly { readonly id: string; readonly reason: string }[];
  /** Classes that a device preferred and did not get. */
  readonly unmetPreferences: TaskSets["unmetPreferences"];
}

/**
 * Deals out classes and sizes every sub-model to its device. Devices that cannot take part are left out where the others suffice.
 * Throws `plan` when no plan exists, saying which device lacks what or which classes stay uncovered; `config` on a request that makes no sense.
 */
export function planFleet(request: PlanRequest): Plan {
  checkRequest(request);
  const { classCount, redundancy, disjoint = false, width, maxWidth = 1 } = request;
  const { classesPerDevice, deadlineSeconds, minimumRatio, overlap = "share", statisticsPass = true } = request;
  const grid = width === undefined ? widthGrid(maxWidth) : [width];
  const limits = { deadlineSeconds, minimumRatio };
  const costOf = branchCosts(request.target);
  const targetMacs = networkCost(request.target).macs;
  const totalSamples = request.classCounts.reduce((sum, count) => sum + count, 0);

  const excluded: { id: string; reason: string }[] = [];
  let fleet = [...request.devices];
  /** Upper bounds on the numbers of classes that sizing has taught. */
  const learnt = new Map<string, number>();
  const exclude = (device: FleetDevice, reason: string): void => {
    excluded.push({ id: device.id, reason: `Device "${device.id}" ${reason}.` });
    fleet = fleet.filter(({ id }) => id !== device.id);
  };

  for (;;) {
    if (disjoint && fleet.length > classCount) {
      const slowest = fleet.reduce((a, b) => (b.profile.macsPerSecond <= a.profile.macsPerSecond ? b : a));
      exclude(slowest, `is the slowest of ${fleet.length}, of which ${classCount} classes in disjoint groups can employ ${classCount}`);
      continue;
    }
    const reach = new Map<string, Reach>();
    if (classesPerDevice === undefined) {
      const owners = overlap === "split" ? redundancy : 1;
      const judged = fleet.map(({ profile }) =>
        reachOf(profile, {
          ...request,
          targetMacs,
          totalSamples,
          owners,
          branches: fleet.length,
          statisticsPass,
          limits,
          narrowest: grid[0]!,
          costOf,
        }),
      );
      const unfit = fleet.filter((device, i) => {
        const found = judged[i]!;
        if ("reason" in found) exclude(device, found.reason);
        else
          reach.set(device.id, {
            least: found.least,
            most: Math.max(found.least, Math.min(found.most, learnt.get(device.id) ?? classCount)),
          });
        return "reason" in found;
      });
      // Fewer devices: fewer branches to run, and other devices may reach further.
      if (unfit.length > 0 && fleet.length > 0) continue;
    }
    const profiles = fleet.map(({ profile }) => profile);
    const capacities =
      classesPerDevice !== undefined
        ? profiles.map(() => classesPerDevice)
        : classShares(
            profiles,
            fleet.map(({ id }) => reach.get(id)!),
            classCount,
            redundancy,
            disjoint,
          );
    const assigned = assign(request, fleet, capacities, excluded);
    const samples = countSamples(assigned.taskSets, request.classCounts, overlap, request.rho);
    const empty = samples.findIndex(({ own }) => own === 0);
    if (empty >= 0) {
      exclude(fleet[empty]!, `would get no sample of its classes ${assigned.taskSets[empty]!.join(", ")}`);
      continue;
    }
    const workloads = samples.map(
      ({ own, background }): Workload => ({ ...request, ownSamples: own, backgroundSamples: background, targetMacs }),
    );
    const devices = fleet.map(({ profile }, i) => ({ profile, classes: assigned.taskSets[i]!.length, workload: workloads[i]! }));
    const sized = sizeWidths({ grid, devices, costOf, limits, statisticsPass });
    if (sized.type === "sized") return finish(request, fleet, assigned, workloads, sized.widths, sized.expected, excluded);
    const before = fleet;
    for (const [i, { limit, reason }] of sized.shortfalls) {
      const device = before[i]!;
      const classes = devices[i]!.classes;
      const least = reach.get(device.id)?.least ?? classes;
      // Fewer classes cost less time and memory, but save a smaller share.
      if (limit !== "ratio" && classes > least) learnt.set(device.id, classes - 1);
      else exclude(device, reason);
    }
  }
}

/** Hundredths from the narrowest width to the widest, both included. */
function widthGrid(maxWidth: number): readonly number[] {
  const grid: number[] = [];
  for (let hundredths = Math.round(100 * narrowestWidth); hundredths / 100 < maxWidth; hundredths++) grid.push(hundredths / 100);
  return [...grid, maxWidth];
}

function assign(
  { classCount, redundancy, disjoint, seed }: PlanRequest,
  fleet: readonly FleetDevice[],
  capacities: readonly number[],
  excluded: Plan["excluded"],
): TaskSets {
  const why = excluded.length > 0 ? ` Left out: ${excluded.map(({ reason }) => reason).join(" ")}` : "";
  if (fleet.length === 0) {
    throw new SheafError(
      "plan",
      `No device can take part: ${excluded.map(({ reason }) => reason).join(" ")} Allow more time or memory, fewer samples or a smaller batch.`,
    );
  }
  const devices = fleet.map(({ id, profile }, i) => ({ id, capacity: capacities[i]!, preferredClasses: profile.preferredClasses }));
  try {
    return assignTaskSets({ classCount, devices, redundancy, disjoint, seed });
  } catch (error) {
    if (error instanceof SheafError && error.code === "plan") throw new SheafError("plan", `${error.message}${why}`, { cause: error });
    throw error;
  }
}

function finish(
  { target, redundancy, epochs, batchSize }: PlanRequest,
  fleet: readonly FleetDevice[],
  { taskSets, codewords, leastDistance, unmetPreferences }: TaskSets,
  workloads: readonly Workload[],
  widths: readonly number[],
  expected: readonly Expected[],
  excluded: Plan["excluded"],
): Plan {
  const subModels = decouple(
    target,
    fleet.map(({ id }, i) => ({ device: id, taskSet: taskSets[i]!, widths: widths[i]! })),
  );
  const devices = fleet.map(({ id, profile }, i): PlannedDevice => {
    const { taskSet, network } = subModels[i]!;
    const { ownSamples, backgroundSamples } = workloads[i]!;
    return { id, profile, taskSet, widths: widths[i]!, network, epochs, batchSize, ownSamples, backgroundSamples, expected: expected[i]! };
  });
  return {
    target: target.name,
    devices,
    redundancy,
    leastDistance,
    codewords: codewords.map((owners) => owners.map((i) => fleet[i]!.id)),
    excluded,
    unmetPreferences,
  };
}

function checkRequest({ target, classCount, classCounts, devices, ...rest }: PlanRequest): void {
  const refuse = (message: string): never => {
    throw new SheafError("config", message);
  };
  const logits = outputShape(target).channels;
  if (logits !== classCount || classCounts.length !== classCount) {
    refuse(
      `"${target.name}" has ${logits} logits, but there are ${classCount} classes with ${classCounts.length} sample counts; all three must agree.`,
    );
  }
  const missing = classCounts.findIndex((count) => !(count > 0));
  if (missing >= 0)
    throw new SheafError(
      "plan",
      `Class ${missing} has no training sample, so that no device can learn it; leave the class out or add samples.`,
    );
  if (devices.length === 0) throw new SheafError("plan", "There is no device to plan for; add devices to the fleet.");
  const ids = devices.map(({ id }) => id);
  const twice = ids.find((id, i) => ids.indexOf(id) < i);
  if (twice !== undefined) refuse(`Device "${twice}" is listed twice; give every device an id of its own.`);
  for (const { id, profile } of devices) {
    for (const key of ["macsPerSecond", "memoryBytes", "bandwidthBitsPerSecond"] as const) {
      if (!(profile[key] > 0)) refuse(`Device "${id}": ${key} must be positive, got ${profile[key]}.`);
    }
  }
  const { rho, width, maxWidth, deadlineSeconds, minimumRatio, classesPerDevice } = rest;
  if (!(rho >= 0 && rho <= 1)) refuse(`The background share rho must lie between 0 and 1, got ${rho}.`);
  for (const [name, value] of Object.entries({
    epochs: rest.epochs,
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
  if (classesPerDevice !== undefined && classesPerDevice > classCount) {
    refuse(`classesPerDevice is ${classesPerDevice}, but there are ${classCount} classes; choose at most that many.`);
  }
}
