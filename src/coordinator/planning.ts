/**
 * From enrolled devices to places in a run: the planner of `plan/`, with what devices say of their samples. Where they hold different samples, a place
 * gets only classes that its device holds. Pure: the same devices give the same places, in whatever order and with whatever keys they came.
 */
import { narrow, type WidthFactors } from "../network/narrow.ts";
import { type BranchCost, branchCost, expectedCost, fleetCost } from "../plan/cost.ts";
import { type Plan, type PlannedDevice, planFleet } from "../plan/plan.ts";
import { planTowards } from "../plan/planTowards.ts";
import type { PlanRequest } from "../plan/request.ts";
import { passesOf } from "../plan/settlePasses.ts";
import { SheafError } from "../util/errors.ts";
import type { RunDefinition, Slot } from "./events.ts";
import { holdings } from "./holdings.ts";
import { type Places, usualSize, withPlaces } from "./places.ts";
import type { Planner, PlanOutcome } from "./progress.ts";
import type { Device } from "./state.ts";

/** A device with what it holds, by class. */
interface Holder {
  readonly slot: string;
  readonly device: Device;
  readonly held: readonly number[];
}

const longestName = 40;

/** Names of branches: those of the devices in letters that file names may have, and a number where two are alike or one is taken already. */
export function slotNames(names: readonly string[], isTaken: (name: string) => boolean = () => false): readonly string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const safe =
      name
        .replaceAll(/[^A-Za-z0-9_-]+/g, "-")
        .replace(/^[^A-Za-z0-9]+/, "")
        .slice(0, longestName) || "device";
    const unique = freeName(safe, (candidate) => taken.has(candidate) || isTaken(candidate));
    taken.add(unique);
    return unique;
  });
}

/** A name that is not taken yet: with the number behind the last in a row that are. Found in few steps, since a fleet may have one name thousands of times. */
export function freeName(name: string, isTaken: (name: string) => boolean): string {
  const numbered = (n: number): string => (n === 1 ? name : `${name}-${n}`);
  if (!isTaken(name)) return name;
  let [taken, free] = [1, 2];
  while (isTaken(numbered(free))) [taken, free] = [free, 2 * free];
  while (free - taken > 1) {
    const middle = Math.floor((taken + free) / 2);
    if (isTaken(numbered(middle))) taken = middle;
    else free = middle;
  }
  return numbered(free);
}

/** Samples by class in the whole fleet; devices with the very same samples count once. */
function fleetCounts(classCount: number, holders: readonly Holder[]): readonly number[] {
  const bySamples = new Map(holders.map(({ device, held }) => [device.data.fingerprint, held]));
  const counts = Array.from({ length: classCount }, () => 0);
  for (const held of bySamples.values()) for (const [classId, count] of held.entries()) counts[classId] = (counts[classId] ?? 0) + count;
  return counts;
}

/** Classes that a device would like to own: what it asked for, else, where devices differ, what it holds, most samples first; classes of a group together. */
function preferences(
  { classNames, planning: { classGroups } }: RunDefinition,
  { device, held }: Holder,
  unowned: ReadonlySet<number>,
  allAlike: boolean,
): readonly number[] | undefined {
  const mayOwn = (classId: number): boolean => (held[classId] ?? 0) > 0 && !unowned.has(classId);
  const asked = device.preferredClasses?.map((name) => classNames.indexOf(name)).filter(mayOwn) ?? [];
  if (asked.length > 0) return [...new Set(asked)];
  if (allAlike) return undefined;
  const ofGroup = new Map<number, number>();
  for (const [classId, count] of held.entries()) {
    const group = classGroups?.[classId] ?? classId;
    ofGroup.set(group, (ofGroup.get(group) ?? 0) + count);
  }
  const most = held.flatMap((count, classId) => {
    const group = classGroups?.[classId] ?? classId;
    return mayOwn(classId) ? [{ count, classId, group, inGroup: ofGroup.get(group) ?? 0 }] : [];
  });
  // Whole groups one after another; without groups each class is one.
  most.sort((a, b) => b.inGroup - a.inGroup || a.group - b.group || b.count - a.count || a.classId - b.classId);
  return most.map(({ classId }) => classId);
}

/** Task sets of classes that their devices hold; what that takes from a class's last owner goes to the device with most samples of it. */
function heldTaskSets(planned: readonly PlannedDevice[], holders: readonly Holder[], classCount: number): readonly (readonly number[])[] {
  const sets = planned.map(({ taskSet }, i) => new Set(taskSet.filter((classId) => (holders[i]?.held[classId] ?? 0) > 0)));
  const ownable = new Set(planned.flatMap(({ taskSet }) => taskSet));
  for (let classId = 0; classId < classCount; classId++) {
    if (!ownable.has(classId) || sets.some((set) => set.has(classId))) continue;
    const most = holders.reduce((found, { held }) => Math.max(found, held[classId] ?? 0), 0);
    if (most > 0) sets[holders.findIndex(({ held }) => held[classId] === most)]?.add(classId);
  }
  return sets.map((set, i) => {
    if (set.size > 0) return [...set].sort((a, b) => a - b);
    // Nothing of what the plan gave it: what it has most of.
    const counts = (holders[i]?.held ?? []).map((count, classId) => (ownable.has(classId) ? count : 0));
    const most = Math.max(...counts);
    return most > 0 ? [counts.indexOf(most)] : [];
  });
}

/** Steps in which planning sees speeds: by half an octave, a factor of 1.41. */
const stepsPerOctave = 2;

/**
 * A speed as the plan sees it: the next step below. A benchmark is never twice the same, and a tenth more or less should not make another plan; nor should
 * a device be planned to be faster than it is.
 */
export function plannedSpeed(speed: number): number {
  return 2 ** (Math.floor(stepsPerOctave * Math.log2(speed) + 1e-9) / stepsPerOctave);
}

/** Cost of a branch by size and logits, each looked at once: many devices are of one size. */
function branchCosts({ target, planning }: RunDefinition): (size: number, widths: WidthFactors, logits: number) => BranchCost {
  const known = new Map<string, BranchCost>();
  return (size, widths, logits) => {
    const key = `${size}/${logits}`;
    const cost = known.get(key) ?? branchCost(narrow(target, widths, logits), planning.progressive);
    known.set(key, cost);
    return cost;
  };
}

/** Own and background samples of a place, by what its device really holds. */
function samplesOf(
  { planning, work }: RunDefinition,
  { held, device }: Holder,
  taskSet: readonly number[],
  owners: (classId: number, fingerprint: string) => number,
  planned: PlannedDevice,
): { readonly ownSamples: number; readonly backgroundSamples: number } {
  let own = 0;
  let others = held.reduce((sum, count) => sum + count, 0);
  for (const classId of taskSet) {
    const count = held[classId] ?? 0;
    others -= count;
    own += planning.overlap === "split" ? Math.ceil(count / owners(classId, device.data.fingerprint)) : count;
  }
  const share = planning.trainedShare ?? 1;
  const background = { local: Math.round(share * planning.rho * others), synthetic: Math.round(share * planning.rho * others), none: 0 };
  const { source } = work.background;
  return {
    ownSamples: Math.max(1, Math.round(share * own)),
    backgroundSamples: source === "pool" ? planned.backgroundSamples : background[source],
  };
}

function slotsOf(definition: RunDefinition, plan: Plan, holders: readonly Holder[]): readonly Slot[] {
  const { target, planning, classNames, work } = definition;
  const bySlot = new Map(holders.map((holder) => [holder.slot, holder]));
  const chosen = plan.devices.map(({ id }) => bySlot.get(id) as Holder);
  const taskSets = heldTaskSets(plan.devices, chosen, classNames.length);
  const places = plan.devices.flatMap((planned, i) => {
    const taskSet = taskSets[i] as readonly number[];
    return taskSet.length === 0 ? [] : [{ planned, taskSet, holder: chosen[i] as Holder }];
  });
  const owned = new Map<string, number>();
  for (const { taskSet, holder } of places) {
    for (const classId of taskSet) {
      const key = `${classId}/${holder.device.data.fingerprint}`;
      owned.set(key, (owned.get(key) ?? 0) + 1);
    }
  }
  const ownersOf = (classId: number, fingerprint: string): number => owned.get(`${classId}/${fingerprint}`) ?? 1;
  const costOf = branchCosts(definition);
  const branches = places.map(({ planned, taskSet }) => costOf(planned.size, planned.widths, taskSet.length + 1));
  const fleet = planning.statisticsPass === false && !planning.settle ? undefined : fleetCost(branches);
  const whole = branchCost(target, planning.wholeTarget ? undefined : planning.progressive);
  return places.map(({ planned, taskSet, holder }, i): Slot => {
    const samples = samplesOf(definition, holder, taskSet, ownersOf, planned);
    const branch = branches[i] as BranchCost;
    const settle = planning.settle && {
      ...planning.settle,
      passes: work.settle ? passesOf(work.settle, holder.slot).length : planning.settle.passes,
    };
    const {
      seconds: _,
      compute,
      ...expected
    } = expectedCost(
      branch,
      {
        ...samples,
        sampleBytesDown: samples.backgroundSamples * (planning.backgroundSampleBytes ?? 0),
        epochs: planning.epochs,
        batchSize: planning.batchSize,
        targetMacs: whole.macs,
        classCount: classNames.length,
        hardShare: planning.hardShare ?? 1,
        ...(planning.targetEpochs === undefined ? {} : { targetEpochs: planning.targetEpochs }),
        ...(planning.progressive ? { progressive: { ...planning.progressive, targetSmallMacs: whole.smallMacs } } : {}),
        ...(settle && settle.passes > 0 ? { settle } : {}),
        // What it starts from is as long as what it hands in.
        ...(work.warmStart ? { warmStart: { samples: 0, targetBytes: branch.weightBytes } } : {}),
        ...(planning.sums ? { sums: planning.sums } : {}),
      },
      planned.profile,
      fleet,
    );
    return {
      slot: holder.slot,
      deviceId: holder.device.deviceId,
      taskSet,
      widths: planned.widths,
      size: planned.size,
      ...samples,
      macs: { train: compute.own + compute.background + compute.warmStart, statistics: compute.statistics, settle: compute.settle },
      memoryBytes: expected.memoryBytes,
      bytesDown: expected.bytesDown,
      bytesUp: expected.bytesUp,
      ratio: expected.ratio,
    };
  });
}

/** Classes that nobody is to own. */
const unownedClasses = ({ planning, otherClass }: RunDefinition, missing: readonly number[]): ReadonlySet<number> =>
  new Set([...missing, ...(planning.unownedClasses ?? []), ...(otherClass === undefined ? [] : [otherClass])]);

function planHolders(definition: RunDefinition, holders: readonly Holder[], unowned: ReadonlySet<number>): PlanOutcome {
  const { target, classNames, planning, seed } = definition;
  const allAlike = new Set(holders.map(({ device }) => device.data.fingerprint)).size === 1;
  const devices = holders.map((holder) => {
    const preferredClasses = preferences(definition, holder, unowned, allAlike);
    const { watts, macsPerSecond, bandwidthBitsPerSecond, memoryBytes } = holder.device.profile;
    const profile = {
      memoryBytes,
      macsPerSecond: plannedSpeed(macsPerSecond),
      bandwidthBitsPerSecond: plannedSpeed(bandwidthBitsPerSecond),
    };
    const optional = { ...(watts === undefined ? {} : { watts }), ...(preferredClasses ? { preferredClasses } : {}) };
    // Of samples that all of them hold, `classCounts` says enough.
    return { id: holder.slot, profile: { name: holder.slot, ...profile, ...optional }, ...(allAlike ? {} : { held: holder.held }) };
  });
  const request = (minimumRatio: number | undefined): PlanRequest => ({
    ...planning,
    ...(minimumRatio === undefined ? {} : { minimumRatio }),
    target,
    seed,
    classCount: classNames.length,
    classCounts: fleetCounts(classNames.length, holders),
    unownedClasses: [...unowned].sort((a, b) => a - b),
    devices,
  });
  try {
    const isBound = planning.minimumRatio !== undefined || planning.width !== undefined;
    const plan = isBound ? planFleet(request(planning.minimumRatio)) : planTowards((ratio, least) => planFleet(request(ratio), least));
    return { type: "planned", slots: slotsOf(definition, plan, holders), excluded: plan.excluded };
  } catch (error) {
    if (error instanceof SheafError && (error.code === "plan" || error.code === "config"))
      return { type: "refused", reason: error.message };
    throw error;
  }
}

/** Classes for a newcomer: as many as others usually have, of those that it holds the ones with fewest owners. */
function newcomersClasses({ held }: Holder, unowned: ReadonlySet<number>, places: Places): readonly number[] {
  const { owners } = places;
  const can = held.flatMap((count, classId) => (count > 0 && !unowned.has(classId) ? [classId] : []));
  can.sort((a, b) => (owners[a] ?? 0) - (owners[b] ?? 0) || (held[b] ?? 0) - (held[a] ?? 0) || a - b);
  return can.slice(0, usualSize(places));
}

/** Newcomers are planned one by one, each alone with its classes. */
function planNewcomers(definition: RunDefinition, holders: readonly Holder[], missing: readonly number[], existing: Places): PlanOutcome {
  const unowned = unownedClasses(definition, missing);
  const { classesPerDevice: _, classGroups: __, disjoint: ___, ...planning } = definition.planning;
  const alone = { ...definition, planning: { ...planning, redundancy: 1 } };
  let places = existing;
  const slots: Slot[] = [];
  const excluded: { id: string; reason: string }[] = [];
  for (const holder of holders) {
    const classes = newcomersClasses(holder, unowned, places);
    if (classes.length === 0) continue;
    const others = new Set(definition.classNames.flatMap((_, classId) => (classes.includes(classId) ? [] : [classId])));
    const outcome = planHolders(alone, [holder], others);
    if (outcome.type === "planned") {
      slots.push(...outcome.slots);
      places = withPlaces(places, outcome.slots);
    } else excluded.push({ id: holder.slot, reason: outcome.reason });
  }
  const [first] = excluded;
  return slots.length === 0 && first ? { type: "refused", reason: first.reason } : { type: "planned", slots, excluded };
}

/**
 * Plans a run for its devices, or places for newcomers; refused, with the planner's sentence, where no plan exists.
 * @example execute(state, { type: "tick" }, { ...context, planner: planRun })
 */
export const planRun: Planner = (definition, devices, missing, existing) => {
  const names = slotNames(
    devices.map(({ name }) => name),
    existing?.isTaken,
  );
  const holders = devices.map((device, i): Holder => ({ slot: names[i] as string, device, held: holdings(definition, device) }));
  return existing
    ? planNewcomers(definition, holders, missing, existing.places)
    : planHolders(definition, holders, unownedClasses(definition, missing));
};
