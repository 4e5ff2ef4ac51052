/** Task sets as a code: every class covered, preferences honoured, codewords of classes as different as the search can make them. */
import { SheafError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { leastDistance, separateClasses } from "./codeSearch.ts";
import { addOwner, emptyOwnership, type Ownership, owns, setOwned } from "./ownership.ts";
import { shareOut } from "./shareOut.ts";

export interface TaskSetRequest {
  readonly classCount: number;
  readonly devices: readonly {
    readonly id: string;
    /** Classes the device takes: as many as that (or all there are); at most that many when disjoint. */
    readonly capacity: number;
    /** Classes it would like to own, dearest first. */
    readonly preferredClasses?: readonly number[] | undefined;
  }[];
  /** Every class has at least this many owners. */
  readonly redundancy: number;
  /** Every class has exactly one owner; the sizes of the groups follow the capacities. */
  readonly disjoint?: boolean | undefined;
  readonly seed: number;
}

export interface TaskSets {
  /** Class ids by device, ascending, in the order of the request. */
  readonly taskSets: readonly (readonly number[])[];
  /** Places of the owners in the request, by class. */
  readonly codewords: readonly (readonly number[])[];
  /** Least Hamming distance between two classes' codewords: so many devices less one may be lost before two classes look alike. */
  readonly leastDistance: number;
  /** Preferred classes that a device did not get, because it has no room for them or because coverage needed it elsewhere. */
  readonly unmetPreferences: readonly { readonly id: string; readonly classes: readonly number[] }[];
}

/**
 * Deals classes out to devices. In order of weight: coverage, preferences (each device's dearest first, devices taking turns), least distance between codewords,
 * even numbers of owners. The same request gives the same task sets.
 * Throws `plan` when no assignment covers every class, `config` on a preference for a class that does not exist.
 */
export function assignTaskSets(request: TaskSetRequest): TaskSets {
  const { classCount, devices, redundancy, disjoint = false, seed } = request;
  const sizes = checkedSizes(request);
  const o = emptyOwnership(classCount, sizes);
  grantPreferences(o, request);
  for (let classId = 0; classId < classCount; classId++) {
    while (o.owners[classId]! < redundancy) {
      if (!addOwner(o, classId, redundancy))
        throw new SheafError("plan", `No device is left to own class ${classId}; lower the redundancy (${redundancy}).`);
    }
  }
  if (!disjoint) {
    const source = random(seed, "plan", "taskSets");
    fill(o, (limit) => source.below(limit));
    separateClasses(o, redundancy, source);
  }
  const classes = Array.from({ length: classCount }, (_, classId) => classId);
  return {
    taskSets: devices.map((_, device) => classes.filter((classId) => owns(o, device, classId))),
    codewords: classes.map((classId) => devices.flatMap((_, device) => (owns(o, device, classId) ? [device] : []))),
    leastDistance: leastDistance(o),
    unmetPreferences: devices.flatMap(({ id, preferredClasses = [] }, device) => {
      const missing = [...new Set(preferredClasses)].filter((classId) => !owns(o, device, classId));
      return missing.length > 0 ? [{ id, classes: missing }] : [];
    }),
  };
}

/** Sizes of the task sets; throws where they cannot cover every class. */
function checkedSizes({ classCount, devices, redundancy, disjoint }: TaskSetRequest): readonly number[] {
  for (const { id, capacity, preferredClasses = [] } of devices) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new SheafError("plan", `Device "${id}" can take ${capacity} classes; give it at least one or leave it out.`);
    }
    const unknown = preferredClasses.find((classId) => !Number.isInteger(classId) || classId < 0 || classId >= classCount);
    if (unknown !== undefined)
      throw new SheafError("config", `Device "${id}" prefers class ${unknown}, but the classes are 0 to ${classCount - 1}.`);
  }
  if (!Number.isInteger(redundancy) || redundancy < 1) {
    throw new SheafError("config", `The redundancy must be a whole number of at least 1, got ${redundancy}.`);
  }
  if (disjoint && redundancy > 1) {
    throw new SheafError(
      "plan",
      `Disjoint groups give every class one owner, but the redundancy is ${redundancy}; set it to 1 or let task sets overlap.`,
    );
  }
  if (redundancy > devices.length) {
    throw new SheafError(
      "plan",
      `A redundancy of ${redundancy} needs ${redundancy} devices or more, but there are ${devices.length}; lower the redundancy or add devices.`,
    );
  }
  if (disjoint && devices.length > classCount) {
    throw new SheafError(
      "plan",
      `${devices.length} devices cannot share ${classCount} classes in disjoint groups; use at most ${classCount} devices.`,
    );
  }
  const most = devices.map(({ capacity }) => Math.min(capacity, classCount));
  const places = most.reduce((sum, size) => sum + size, 0);
  const needed = classCount * redundancy;
  if (places < needed) {
    const uncovered = classCount - Math.floor(places / redundancy);
    const first = classCount - uncovered;
    const which = uncovered === 1 ? `class ${first}` : `${uncovered} classes (such as ${first} to ${classCount - 1})`;
    throw new SheafError(
      "plan",
      `The devices can take ${places} classes in all, but ${classCount} classes with ${redundancy} ${redundancy === 1 ? "owner" : "owners"} each need ${needed}: ${which} cannot be covered; add devices, let them take more classes, or lower the redundancy.`,
    );
  }
  return disjoint
    ? shareOut(
        classCount,
        most,
        devices.map(() => 1),
        most,
      )
    : most;
}

function grantPreferences(o: Ownership, { devices, disjoint }: TaskSetRequest): void {
  const rounds = Math.max(0, ...devices.map((d) => d.preferredClasses?.length ?? 0));
  for (let rank = 0; rank < rounds; rank++) {
    for (const [device, { preferredClasses }] of devices.entries()) {
      const classId = preferredClasses?.[rank];
      if (classId === undefined || o.free[device]! === 0 || owns(o, device, classId) || (disjoint && o.owners[classId]! > 0)) continue;
      setOwned(o, device, classId, true);
      o.preferred[classId * o.deviceCount + device] = 1;
    }
  }
}

/** Fills what room is left, always with a class that has fewest owners, drawn among equals. */
function fill(o: Ownership, below: (limit: number) => number): void {
  for (let open = true; open; ) {
    open = false;
    for (let device = 0; device < o.deviceCount; device++) {
      if (o.free[device]! === 0) continue;
      let fewest: number[] = [];
      for (let classId = 0; classId < o.classCount; classId++) {
        if (owns(o, device, classId)) continue;
        const lead = o.owners[classId]! - (fewest.length > 0 ? o.owners[fewest[0]!]! : Number.POSITIVE_INFINITY);
        if (lead < 0) fewest = [classId];
        else if (lead === 0) fewest.push(classId);
      }
      if (fewest.length === 0) continue;
      setOwned(o, device, fewest[below(fewest.length)]!, true);
      open = true;
    }
  }
}
