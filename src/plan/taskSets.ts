/** Task sets as a code: every class covered, preferences honoured, codewords of classes as different as the search can make them. */
import { SheafError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { leastDistance, separateClasses } from "./codeSearch.ts";
import { addOwner, emptyOwnership, type Ownership, owns, setOwned } from "./ownership.ts";
import { shareOut } from "./shareOut.ts";
import { membersOf } from "./teams.ts";

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
  /** Classes are parted into groups, each owned whole by one team of devices; the sizes of the groups follow the capacities. */
  readonly disjoint?: boolean | undefined;
  /** Team of each device where groups are disjoint, as many devices as the redundancy or more in each (see `teamsOf`); every device is its own by default. */
  readonly teams?: readonly number[] | undefined;
  /** Classes that nobody is to own, such as "unknown": never dealt out and not asked to be covered. None by default. */
  readonly unownedClasses?: readonly number[] | undefined;
  readonly seed: number;
}

export interface TaskSets {
  /** Class ids by device, ascending, in the order of the request. */
  readonly taskSets: readonly (readonly number[])[];
  /** Places of the owners in the request, by class; none for a class that nobody is to own. */
  readonly codewords: readonly (readonly number[])[];
  /**
   * Least Hamming distance between two classes' codewords; of a single class, the number of devices.
   * A class that nobody owns has the empty codeword, and counts.
   */
  readonly leastDistance: number;
  /** Any so many devices may be lost, and every class still has a codeword of its own among the others: one less than the least distance, at least 0. */
  readonly correctedErasures: number;
  /** Preferred classes that a device did not get, because it has no room for them or because coverage needed it elsewhere. */
  readonly unmetPreferences: readonly { readonly id: string; readonly classes: readonly number[] }[];
}

/**
 * Deals classes out to devices. In order of weight: coverage, preferences (each device's dearest first, devices taking turns), least distance between codewords,
 * even numbers of owners. The same request gives the same task sets.
 * Throws `plan` when no assignment covers every class, `config` on a preference for a class that does not exist or that nobody is to own.
 */
export function assignTaskSets(request: TaskSetRequest): TaskSets {
  const { classCount, devices, redundancy, disjoint = false, seed, teams } = request;
  if (disjoint && redundancy > 1) return assignToTeams(request, teams ?? [...devices.keys()]);
  const ids = ownableClasses(classCount, request.unownedClasses);
  const sizes = checkedSizes(request, ids);
  // The ownership matrix has rows for the classes of `ids` alone.
  const o = emptyOwnership(ids.length, sizes);
  const placeOf = new Map(ids.map((classId, place) => [classId, place]));
  grantPreferences(
    o,
    devices.map(({ preferredClasses = [] }) => preferredClasses.map((classId) => placeOf.get(classId) as number)),
    disjoint,
  );
  for (const [place, classId] of ids.entries()) {
    while (o.owners[place]! < redundancy) {
      if (!addOwner(o, place, redundancy))
        throw new SheafError("plan", `No device is left to own class ${classId}; lower the redundancy (${redundancy}).`);
    }
  }
  if (!disjoint) {
    const source = random(seed, "plan", "taskSets");
    fill(o, (limit) => source.below(limit));
    separateClasses(o, redundancy, source);
  }
  return describe(request, ids, o);
}

/** What an ownership comes to, by device and by class. */
function describe({ classCount, devices }: TaskSetRequest, ids: readonly number[], o: Ownership): TaskSets {
  const taskSets = devices.map((_, device) => ids.filter((_, place) => owns(o, device, place)));
  const unowned = classCount - ids.length;
  // Two classes that nobody owns have one codeword; a single one lies as far from each class as that has owners.
  const toUnowned = unowned === 0 ? Number.POSITIVE_INFINITY : unowned === 1 ? Math.min(...o.owners) : 0;
  const least = Math.min(leastDistance(o), toUnowned);
  return {
    taskSets,
    codewords: Array.from({ length: classCount }, (_, classId) =>
      taskSets.flatMap((set, device) => (set.includes(classId) ? [device] : [])),
    ),
    leastDistance: least,
    correctedErasures: Math.max(0, least - 1),
    unmetPreferences: devices.flatMap(({ id, preferredClasses = [] }, device) => {
      const missing = [...new Set(preferredClasses)].filter((classId) => !taskSets[device]?.includes(classId));
      return missing.length > 0 ? [{ id, classes: missing }] : [];
    }),
  };
}

/** Deals groups out to teams as if each were one device, which takes what its weakest can and would like what its members would, in turn. */
function assignToTeams(request: TaskSetRequest, teams: readonly number[]): TaskSets {
  const { devices, redundancy, classCount } = request;
  const members = membersOf(teams);
  const small = members.find((team) => team.length < redundancy);
  if (small) {
    throw new SheafError(
      "plan",
      `Disjoint groups with ${redundancy} owners of each class need teams of ${redundancy} devices or more, but one has ${small.length}; lower the redundancy or add devices.`,
    );
  }
  const asDevices = members.map((team) => {
    const wanted = team.map((i) => devices[i]!.preferredClasses ?? []);
    const rounds = Math.max(...wanted.map(({ length }) => length));
    const inTurn = Array.from({ length: rounds }, (_, rank) => wanted.flatMap((classes) => classes.slice(rank, rank + 1))).flat();
    return {
      id: team.map((i) => devices[i]!.id).join(", "),
      capacity: Math.min(...team.map((i) => devices[i]!.capacity)),
      preferredClasses: [...new Set(inTurn)],
    };
  });
  const { taskSets } = assignTaskSets({ ...request, devices: asDevices, teams: undefined, redundancy: 1 });
  const ids = ownableClasses(classCount, request.unownedClasses);
  const o = emptyOwnership(
    ids.length,
    teams.map((team) => taskSets[team]!.length),
  );
  for (const [device, team] of teams.entries()) for (const classId of taskSets[team]!) setOwned(o, device, ids.indexOf(classId), true);
  return describe(request, ids, o);
}

/** Ids of the classes that devices may own, ascending. Throws `config` on an unowned class that does not exist, `plan` when no class is left. */
export function ownableClasses(classCount: number, unownedClasses: readonly number[] = []): readonly number[] {
  const unknown = unownedClasses.find((classId) => !Number.isInteger(classId) || classId < 0 || classId >= classCount);
  if (unknown !== undefined)
    throw new SheafError("config", `Class ${unknown} is to be left without owners, but the classes are 0 to ${classCount - 1}.`);
  const ids = Array.from({ length: classCount }, (_, classId) => classId).filter((classId) => !unownedClasses.includes(classId));
  if (ids.length === 0) throw new SheafError("plan", `None of the ${classCount} classes may be owned; leave some for the devices.`);
  return ids;
}

/** Sizes of the task sets; throws where they cannot cover every class. */
function checkedSizes(
  { classCount: allClasses, devices, redundancy, disjoint }: TaskSetRequest,
  ids: readonly number[],
): readonly number[] {
  const classCount = ids.length;
  for (const { id, capacity, preferredClasses = [] } of devices) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new SheafError("plan", `Device "${id}" can take ${capacity} classes; give it at least one or leave it out.`);
    }
    const unknown = preferredClasses.find((classId) => !ids.includes(classId));
    if (unknown !== undefined) {
      const why =
        Number.isInteger(unknown) && unknown >= 0 && unknown < allClasses
          ? "nobody is to own it"
          : `the classes are 0 to ${allClasses - 1}`;
      throw new SheafError("config", `Device "${id}" prefers class ${unknown}, but ${why}; take it out of the device's classes.`);
    }
  }
  if (!Number.isInteger(redundancy) || redundancy < 1) {
    throw new SheafError("config", `The redundancy must be a whole number of at least 1, got ${redundancy}.`);
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
    const which = uncovered === 1 ? `class ${ids[first]}` : `${uncovered} classes (such as ${ids[first]} to ${ids.at(-1)})`;
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

/** `preferred`: rows of the ownership matrix by device, dearest first. */
function grantPreferences(o: Ownership, preferred: readonly (readonly number[])[], disjoint: boolean): void {
  const rounds = preferred.reduce((most, rows) => Math.max(most, rows.length), 0);
  for (let rank = 0; rank < rounds; rank++) {
    for (const [device, rows] of preferred.entries()) {
      const row = rows[rank];
      if (row === undefined || o.free[device]! === 0 || owns(o, device, row) || (disjoint && o.owners[row]! > 0)) continue;
      setOwned(o, device, row, true);
      o.preferred[row * o.deviceCount + device] = 1;
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
