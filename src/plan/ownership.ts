/** Which device owns which class, as a matrix of bits that can be changed; and the paths along which ownership moves until every class is covered. */

/** Bits [class][device]: the row of a class is its codeword. */
export interface Ownership {
  readonly classCount: number;
  readonly deviceCount: number;
  readonly bits: Uint8Array;
  /** Cells that were asked for; they move only where coverage needs it. */
  readonly preferred: Uint8Array;
  /** Owners by class. */
  readonly owners: Int32Array;
  /** Classes that each device may still take. */
  readonly free: Int32Array;
}

/** Nobody owns anything yet. */
export function emptyOwnership(classCount: number, sizes: readonly number[]): Ownership {
  const cells = classCount * sizes.length;
  return {
    classCount,
    deviceCount: sizes.length,
    bits: new Uint8Array(cells),
    preferred: new Uint8Array(cells),
    owners: new Int32Array(classCount),
    free: Int32Array.from(sizes),
  };
}

export function owns(o: Ownership, device: number, classId: number): boolean {
  return o.bits[classId * o.deviceCount + device] === 1;
}

/** Gives a class to a device that does not own it, or takes it from one that does. */
export function setOwned(o: Ownership, device: number, classId: number, owned: boolean): void {
  o.bits[classId * o.deviceCount + device] = owned ? 1 : 0;
  o.owners[classId]! += owned ? 1 : -1;
  o.free[device]! += owned ? -1 : 1;
}

interface Step {
  /** The class that needs an owner, and the device that takes it, giving up the step's own class. */
  readonly classId: number;
  readonly device: number;
}

/**
 * Gives `start` one more owner: some device takes it, giving up another class if it is full, which a further device then takes, and so on, up to a device
 * with room or a class with more than `redundancy` owners (an augmenting path). Of all paths one that breaks fewest preferences. False when there is none.
 */
export function addOwner(o: Ownership, start: number, redundancy: number): boolean {
  const cost = new Map<number, number>([[start, 0]]);
  const from = new Map<number, Step>();
  const done = new Set<number>();
  // Two queues: steps that break no preference come before steps that break one more.
  let now: number[] = [start];
  let next: number[] = [];
  while (now.length > 0 || next.length > 0) {
    if (now.length === 0) [now, next] = [next, []];
    const classId = now.shift() as number;
    if (done.has(classId)) continue;
    done.add(classId);
    const spare = classId !== start && o.owners[classId]! > redundancy;
    const roomy = spare ? -1 : deviceWithRoom(o, classId);
    if (spare || roomy >= 0) {
      moveAlong(o, from, classId, start, roomy);
      return true;
    }
    for (let device = 0; device < o.deviceCount; device++) {
      if (owns(o, device, classId)) continue;
      for (let other = 0; other < o.classCount; other++) {
        if (!owns(o, device, other) || done.has(other)) continue;
        const step = o.preferred[other * o.deviceCount + device]!;
        const reached = cost.get(classId)! + step;
        if (reached >= (cost.get(other) ?? Number.POSITIVE_INFINITY)) continue;
        cost.set(other, reached);
        from.set(other, { classId, device });
        (step ? next : now).push(other);
      }
    }
  }
  return false;
}

function deviceWithRoom(o: Ownership, classId: number): number {
  for (let device = 0; device < o.deviceCount; device++) if (o.free[device]! > 0 && !owns(o, device, classId)) return device;
  return -1;
}

function moveAlong(o: Ownership, from: ReadonlyMap<number, Step>, end: number, start: number, roomy: number): void {
  let given = end;
  if (roomy >= 0) setOwned(o, roomy, end, true);
  while (given !== start) {
    const { classId, device } = from.get(given) as Step;
    setOwned(o, device, given, false);
    o.preferred[given * o.deviceCount + device] = 0;
    setOwned(o, device, classId, true);
    given = classId;
  }
}
