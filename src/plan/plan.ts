/** Plans a fleet: who trains which classes, at which width, and what it will cost. Pure: the same request gives the same plan. */
import { decouple } from "../decouple/subModel.ts";
import type { WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { SheafError } from "../util/errors.ts";
import { classShares, type Reach, type ReachRequest, reachOf } from "./capacities.ts";
import { commonGroupSize, groupPreferences } from "./classGroups.ts";
import { activationPass, type BranchCost, branchCost, type Expected, type Workload } from "./cost.ts";
import type { DeviceProfile } from "./device.ts";
import { checkRequest, type FleetDevice, narrowestWidth, type PlanRequest } from "./request.ts";
import { countSamples } from "./samples.ts";
import { shaper } from "./shape.ts";
import { assignTaskSets, ownableClasses, type TaskSets } from "./taskSets.ts";
import { teamsOf } from "./teams.ts";
import { branchCosts, type Limits, sizeWidths } from "./widths.ts";

/** What one device is to do. */
export interface PlannedDevice extends FleetDevice {
  /** Class ids, ascending. */
  readonly taskSet: readonly number[];
  /** The width that, given to all layers, costs as many multiply-adds as `widths` or just more. */
  readonly size: number;
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
  /** Any so many devices may be lost before two classes have the same owners left. */
  readonly correctedErasures: number;
  /** Ids of the owners, by class; none for a class that nobody is to own. */
  readonly codewords: readonly (readonly string[])[];
  /** Devices that cannot take part, each with the reason, a sentence. */
  readonly excluded: readonly { readonly id: string; readonly reason: string }[];
  /** Classes that a device preferred and did not get. */
  readonly unmetPreferences: TaskSets["unmetPreferences"];
}

/**
 * Deals out classes and sizes every sub-model to its device. Devices that cannot take part are left out where the others suffice.
 * Throws `plan` when no plan exists, saying which device lacks what or which classes stay uncovered, or when fewer than `leastDevices` would be left;
 * `config` on a request that makes no sense.
 */
export function planFleet(request: PlanRequest, leastDevices = 0): Plan {
  checkRequest(request);
  const setting = settingOf(request);
  const excluded: { id: string; reason: string }[] = [];
  const learnt = new Map<string, number>();
  // Every turn leaves out a device or takes a class from one, so the turns come to an end.
  for (let fleet = request.devices; ; ) {
    const turn = attempt(setting, fleet, learnt, excluded);
    switch (turn.type) {
      case "planned":
        return turn.plan;
      case "exclude": {
        const out = new Set<string>();
        for (const { device, reason } of turn.out) {
          excluded.push({ id: device.id, reason: `Device "${device.id}" ${reason}.` });
          if (fleet.length - out.size <= leastDevices) throw new SheafError("plan", `${excluded.at(-1)?.reason} It may not be left out.`);
          out.add(device.id);
        }
        fleet = fleet.filter(({ id }) => !out.has(id));
        break;
      }
      case "fewerClasses":
        for (const [id, classes] of turn.most) learnt.set(id, classes);
    }
  }
}

/** A request with its defaults and what follows from it once and for all. */
interface Setting {
  readonly request: PlanRequest;
  readonly disjoint: boolean;
  readonly overlap: "share" | "split";
  readonly statisticsPass: boolean;
  readonly statisticsOverlap: "share" | "split";
  readonly grid: readonly number[];
  readonly limits: Limits;
  /** Ids of the classes that devices may own. */
  readonly ownable: readonly number[];
  /** Group of each class; undefined for one that nobody is to own. */
  readonly groupOf: readonly (number | undefined)[] | undefined;
  readonly targetMacs: number;
  readonly targetBytes: number;
  readonly widthsOf: (size: number) => WidthFactors;
  readonly costOf: (size: number, logits: number) => BranchCost;
  readonly progressive: Workload["progressive"];
}

function settingOf(request: PlanRequest): Setting {
  const { disjoint = false, overlap = "share", statisticsPass = true, width, maxWidth = 1, deadlineSeconds, minimumRatio } = request;
  const { statisticsOverlap = overlap } = request;
  const ownable = ownableClasses(request.classCount, request.unownedClasses);
  const widthsOf = shaper(request.target, request.shape ?? "recipe");
  const target = branchCost(request.target, request.wholeTarget ? undefined : request.progressive);
  return {
    request,
    ownable,
    groupOf: request.classGroups?.map((group, classId) => (ownable.includes(classId) ? group : undefined)),
    disjoint,
    overlap,
    statisticsPass,
    statisticsOverlap,
    grid: width === undefined ? widthGrid(maxWidth) : [width],
    limits: { deadlineSeconds, minimumRatio },
    targetMacs: target.macs,
    targetBytes: target.weightBytes,
    widthsOf,
    costOf: branchCosts(request.target, widthsOf, request.progressive),
    progressive: request.progressive && { ...request.progressive, targetSmallMacs: target.smallMacs },
  };
}

/** Devices that cannot take part with the fleet as it is, in the order in which they are left out. */
interface Exclusion {
  readonly type: "exclude";
  readonly out: readonly { readonly device: FleetDevice; readonly reason: string }[];
}

/**
 * How many devices are left out before the others are looked at again, where one fewer may be enough: of a large fleet not one by one, since every look
 * goes through all of it.
 */
const leftOutAtOnce = (fleet: readonly FleetDevice[]): number => Math.max(1, Math.floor(fleet.length / 100));

type Turn =
  | { readonly type: "planned"; readonly plan: Plan }
  | Exclusion
  /** The most classes that these devices should take, by id. */
  | { readonly type: "fewerClasses"; readonly most: ReadonlyMap<string, number> };

/** Plans for exactly these devices, or says what has to change first. `learnt`: bounds on numbers of classes from earlier turns. */
function attempt(setting: Setting, fleet: readonly FleetDevice[], learnt: ReadonlyMap<string, number>, excluded: Plan["excluded"]): Turn {
  const { request, disjoint, overlap, statisticsPass, statisticsOverlap, grid, limits, ownable, targetMacs, costOf } = setting;
  const { classCount, classCounts, rho, epochs, batchSize, classesPerDevice } = request;
  const employed = ownable.length * request.redundancy;
  if (disjoint && fleet.length > employed) {
    const surplus = slowestFirst(fleet, (device) => device).slice(0, fleet.length - employed);
    const reason = (left: number): string =>
      `is the slowest of ${left}, and ${ownable.length} classes in disjoint groups employ at most ${employed}`;
    return { type: "exclude", out: surplus.map((device, i) => ({ device, reason: reason(fleet.length - i) })) };
  }
  const reach =
    classesPerDevice === undefined
      ? reachOfAll(setting, fleet, learnt)
      : fleet.map(() => ({ least: classesPerDevice, most: classesPerDevice }));
  if ("type" in reach) return reach;
  const profiles = fleet.map(({ profile }) => profile);
  const capacities =
    classesPerDevice === undefined ? sharesOf(setting, profiles, reach) : reach.map((r) => Math.min(r.most, ownable.length));
  const assigned = assign(setting, fleet, capacities, excluded);
  const held = fleet.map((device) => device.held);
  const samples = countSamples(assigned.taskSets, classCounts, overlap, rho, request.backgroundCounts, held);
  const empty = [...samples.keys()].filter((i) => samples[i]!.own === 0);
  if (empty.length > 0) {
    const reason = (i: number): string => `would get no sample of its classes ${assigned.taskSets[i]!.join(", ")}`;
    return { type: "exclude", out: empty.slice(0, leftOutAtOnce(fleet)).map((i) => ({ device: fleet[i]!, reason: reason(i) })) };
  }
  const passed = countSamples(assigned.taskSets, classCounts, statisticsOverlap, 0, undefined, held);
  const unowned = unownedShares(setting, fleet.length);
  const trainedShare = request.trainedShare ?? 1;
  const devices = samples.map(({ own, background }, i) => ({
    profile: profiles[i]!,
    classes: assigned.taskSets[i]!.length,
    workload: {
      ownSamples: Math.round(trainedShare * own),
      backgroundSamples: Math.round(trainedShare * background),
      ...(request.sums && { sums: request.sums }),
      sampleBytesDown: background * (request.backgroundSampleBytes ?? 0),
      statisticsSamples: passed[i]!.own + unowned(fleet[i]!),
      epochs,
      ...(request.targetEpochs !== undefined && { targetEpochs: request.targetEpochs }),
      batchSize,
      hardShare: request.hardShare ?? 1,
      ...(setting.progressive && { progressive: setting.progressive }),
      targetMacs,
      classCount,
      ...(request.settle && { settle: request.settle }),
      ...activationPass(request.activationSamples, {
        classes: assigned.taskSets[i]!.length,
        samples: trainedShare * own,
        targetBytes: setting.targetBytes,
      }),
    },
  }));
  const sized = sizeWidths({ grid, devices, costOf, limits, statisticsPass });
  if (sized.type === "sized") {
    const workloads = devices.map(({ workload }) => workload);
    return { type: "planned", plan: finish(setting, fleet, assigned, workloads, sized.widths, sized.expected, excluded) };
  }
  // Fewer classes cost less time and memory, but save a smaller share. Where nobody can do with fewer, the slowest has to go.
  const short = [...sized.shortfalls].map(([i, missing]) => ({
    device: fleet[i]!,
    spare: devices[i]!.classes - reach[i]!.least,
    i,
    ...missing,
  }));
  const reducible = short.filter(({ limit, spare }) => limit !== "ratio" && spare > 0);
  if (reducible.length > 0)
    return { type: "fewerClasses", most: new Map(reducible.map(({ device, i }) => [device.id, devices[i]!.classes - 1])) };
  return { type: "exclude", out: slowestFirst(short, ({ device }) => device).slice(0, leftOutAtOnce(fleet)) };
}

/**
 * Samples of unowned classes that a device is expected to have in its statistics pass: its part of those that are in anybody's background, each of them
 * counted by as many devices as a sample of another class is; or those that it holds itself.
 */
function unownedShares(
  { request: { classCounts, backgroundCounts, rho, redundancy }, statisticsOverlap, ownable }: Setting,
  deviceCount: number,
): (device: FleetDevice) => number {
  const countOf = (counts: readonly number[]): number =>
    counts.reduce((sum, samples, classId) => sum + (ownable.includes(classId) ? 0 : samples), 0);
  const count = countOf(backgroundCounts ?? classCounts);
  const met = count * (1 - (1 - rho) ** deviceCount);
  const share = Math.round(Math.min(rho * count, (met * (statisticsOverlap === "share" ? redundancy : 1)) / deviceCount));
  return ({ held }) => (held && !backgroundCounts ? Math.round(rho * countOf(held)) : share);
}

/** Numbers of classes by device: in whole groups where groups are of one size and every device can carry one. */
function sharesOf(
  { request, ownable, groupOf, disjoint }: Setting,
  profiles: readonly DeviceProfile[],
  reach: readonly Reach[],
): readonly number[] {
  const size = groupOf && commonGroupSize(groupOf);
  if (
    size !== undefined &&
    reach.every(({ most }) => most >= size) &&
    !(disjoint && (ownable.length / size) * request.redundancy < profiles.length)
  ) {
    const inGroups = reach.map(({ least, most }) => ({
      least: Math.min(Math.ceil(least / size), Math.floor(most / size)),
      most: Math.floor(most / size),
    }));
    return classShares(profiles, inGroups, ownable.length / size, request.redundancy, disjoint).map((groups) => groups * size);
  }
  return classShares(profiles, reach, ownable.length, request.redundancy, disjoint);
}

/** How many classes each device can take; or those that cannot take one: of these the slowest, since with fewer branches in the statistics pass the others may do. */
function reachOfAll(
  { request, overlap, statisticsPass, statisticsOverlap, grid, limits, ownable, targetMacs, targetBytes, costOf, progressive }: Setting,
  fleet: readonly FleetDevice[],
  learnt: ReadonlyMap<string, number>,
): readonly Reach[] | Exclusion {
  const { classCount, classCounts, backgroundCounts, backgroundSampleBytes = 0, rho, epochs, batchSize, redundancy } = request;
  const narrowest = grid[0]!;
  const ownableCount = ownable.length;
  const common = {
    classCount,
    ownableCount,
    backgroundSampleBytes,
    trainedShare: request.trainedShare ?? 1,
    ...(request.sums && { sums: request.sums }),
    epochs,
    targetEpochs: request.targetEpochs,
    batchSize,
    targetMacs,
    statisticsPass,
    settle: request.settle,
    activationSamples: request.activationSamples,
    targetBytes,
    hardShare: request.hardShare,
    progressive,
    limits,
    costOf,
    narrowest,
  };
  const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
  const ofOwnable = (counts: readonly number[]): number => ownable.reduce((sum, classId) => sum + counts[classId]!, 0);
  /** Samples of so many of `count` classes, of which there are so many in all. */
  const samplesOf = (counts: readonly number[], among: number, others: readonly number[]): ReachRequest["samplesWith"] => {
    const [own, background, ownBackground] = [ofOwnable(counts), sumOf(others), ofOwnable(others)];
    return (classes) => {
      const share = Math.min(1, classes / among);
      return { own: share * own, background: rho * (background - share * ownBackground) };
    };
  };
  const anybodys = samplesOf(classCounts, ownableCount, backgroundCounts ?? classCounts);
  const samplesOfDevice = ({ held }: FleetDevice): ReachRequest["samplesWith"] =>
    held ? samplesOf(held, Math.max(1, ownable.filter((classId) => held[classId]! > 0).length), backgroundCounts ?? held) : anybodys;
  const among = (split: "share" | "split"): number => (split === "split" ? redundancy : 1);
  const dealt = { owners: among(overlap), summers: among(statisticsOverlap) };
  const reaches: Reach[] = [];
  const unfit: { device: FleetDevice; reason: string }[] = [];
  for (const device of fleet) {
    const found = reachOf(device.profile, { ...common, ...dealt, samplesWith: samplesOfDevice(device), branches: fleet.length });
    if ("reason" in found) unfit.push({ device, reason: found.reason });
    else reaches.push({ least: found.least, most: Math.max(found.least, Math.min(found.most, learnt.get(device.id) ?? ownableCount)) });
  }
  if (unfit.length === 0) return reaches;
  // Without the pass nobody's limits depend on others.
  const out = slowestFirst(unfit, ({ device }) => device);
  return { type: "exclude", out: statisticsPass ? out.slice(0, leftOutAtOnce(fleet)) : out };
}

/** By speed; of equals the last first. */
function slowestFirst<T>(items: readonly T[], deviceOf: (item: T) => FleetDevice): readonly T[] {
  return [...items].reverse().sort((a, b) => deviceOf(a).profile.macsPerSecond - deviceOf(b).profile.macsPerSecond);
}

/** Why devices were left out: of the first few, and how many more. */
function reasonsOf(excluded: Plan["excluded"]): string {
  const shown = 5;
  const first = excluded.slice(0, shown).map(({ reason }) => reason);
  return [...first, ...(excluded.length > shown ? [`And ${excluded.length - shown} more.`] : [])].join(" ");
}

/** Hundredths from the narrowest width to the widest, both included. */
function widthGrid(maxWidth: number): readonly number[] {
  const grid: number[] = [];
  for (let hundredths = Math.round(100 * narrowestWidth); hundredths / 100 < maxWidth; hundredths++) grid.push(hundredths / 100);
  return [...grid, maxWidth];
}

function assign(
  { request: { classCount, redundancy, unownedClasses, seed }, groupOf, disjoint }: Setting,
  fleet: readonly FleetDevice[],
  capacities: readonly number[],
  excluded: Plan["excluded"],
): TaskSets {
  const why = excluded.length > 0 ? ` Left out: ${reasonsOf(excluded)}` : "";
  if (fleet.length === 0) {
    throw new SheafError(
      "plan",
      `No device can take part: ${reasonsOf(excluded)} Allow more time or memory, fewer samples or a smaller batch.`,
    );
  }
  // A device that says what it wants keeps that; groups are dealt among the others.
  const wanted = fleet.map(({ profile }) => profile.preferredClasses);
  const speeds = fleet.map(({ profile }) => profile.macsPerSecond);
  const teams = disjoint ? teamsOf(speeds, redundancy) : undefined;
  // Of a team one speaks for all.
  const speaks = (i: number): boolean => teams === undefined || teams.indexOf(teams[i]!) === i;
  const dealt =
    groupOf &&
    groupPreferences(
      groupOf,
      capacities.map((capacity, i) => (wanted[i] || !speaks(i) ? 0 : capacity)),
      seed,
    );
  const devices = fleet.map(({ id }, i) => ({ id, capacity: capacities[i]!, preferredClasses: wanted[i] ?? dealt?.[i] }));
  try {
    const assigned = assignTaskSets({ classCount, devices, redundancy, disjoint, teams, unownedClasses, seed });
    const asked = new Set(fleet.filter((_, i) => wanted[i]).map(({ id }) => id));
    return { ...assigned, unmetPreferences: assigned.unmetPreferences.filter(({ id }) => asked.has(id)) };
  } catch (error) {
    if (error instanceof SheafError && error.code === "plan") throw new SheafError("plan", `${error.message}${why}`, { cause: error });
    throw error;
  }
}

function finish(
  { request: { target, redundancy, epochs, batchSize }, widthsOf }: Setting,
  fleet: readonly FleetDevice[],
  { taskSets, codewords, leastDistance, correctedErasures, unmetPreferences }: TaskSets,
  workloads: readonly Workload[],
  sizes: readonly number[],
  expected: readonly Expected[],
  excluded: Plan["excluded"],
): Plan {
  const widths = sizes.map(widthsOf);
  const subModels = decouple(
    target,
    fleet.map(({ id }, i) => ({ device: id, taskSet: taskSets[i]!, widths: widths[i]! })),
  );
  const devices = fleet.map(({ id, profile }, i): PlannedDevice => {
    const { taskSet, network } = subModels[i]!;
    const { ownSamples, backgroundSamples } = workloads[i]!;
    return {
      id,
      profile,
      taskSet,
      size: sizes[i]!,
      widths: widths[i]!,
      network,
      epochs,
      batchSize,
      ownSamples,
      backgroundSamples,
      expected: expected[i]!,
    };
  });
  return {
    target: target.name,
    devices,
    redundancy,
    leastDistance,
    correctedErasures,
    codewords: codewords.map((owners) => owners.map((i) => fleet[i]!.id)),
    excluded,
    unmetPreferences,
  };
}
