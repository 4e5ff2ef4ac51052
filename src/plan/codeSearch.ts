/**
 * Makes codewords of classes differ: a seeded local search over ownership matrices (error-correcting output codes, Dietterich and Bakiri 1995),
 * in which task set sizes, coverage and granted preferences stay as they are.
 */
import type { Random } from "../util/random.ts";
import { type Ownership, owns } from "./ownership.ts";

/** Attempted moves of each phase. A move costs O(classes), so that a search takes about the same time for 10 classes and for 100. */
const attemptsFor = (classCount: number): number => Math.min(300_000, Math.max(60_000, Math.round(6e6 / classCount)));
/** Attempts without a better code before the search jumps. */
const patience = 4000;
/** Moves of a jump, taken whatever they cost. */
const jump = 3;
/** A pair of codewords weighs `base ** -distance`: the close pairs decide, the number of them breaks ties. */
const base = 6;
/** Cells that a search looks at; only fleets of more than a thousand devices come to so many. */
const mostScanned = 3e8;

/** Least Hamming distance between the codewords of two classes; with a single class, the length of its codeword. */
export function leastDistance(o: Ownership): number {
  let least = o.deviceCount;
  for (let a = 0; a < o.classCount; a++) for (let b = 0; b < a; b++) least = Math.min(least, distance(o, a, b));
  return least;
}

function distance(o: Ownership, a: number, b: number): number {
  let count = 0;
  for (let device = 0; device < o.deviceCount; device++) {
    if (o.bits[a * o.deviceCount + device] !== o.bits[b * o.deviceCount + device]) count++;
  }
  return count;
}

/** No code does better: the mean distance over all pairs of classes follows from the sizes of the task sets alone (Plotkin 1960). */
function distanceBound(o: Ownership): number {
  let differing = 0;
  for (let device = 0; device < o.deviceCount; device++) {
    let size = 0;
    for (let classId = 0; classId < o.classCount; classId++) if (owns(o, device, classId)) size++;
    differing += size * (o.classCount - size);
  }
  return Math.floor(differing / ((o.classCount * (o.classCount - 1)) / 2));
}

/**
 * Raises the least distance of `o` in place. First with owners per class as even as they are at the start; then without that rule,
 * kept only if the least distance grows by it.
 */
export function separateClasses(o: Ownership, redundancy: number, random: Random): void {
  if (o.classCount < 2 || o.deviceCount < 2) return;
  const bound = distanceBound(o);
  const even = search(o, redundancy, true, bound, random);
  if (even.least >= bound) return;
  const keep = { bits: o.bits.slice(), owners: o.owners.slice() };
  const free = search(o, redundancy, false, bound, random);
  if (free.least > even.least) return;
  o.bits.set(keep.bits);
  o.owners.set(keep.owners);
}

/** Device `gives` changes class `a` for `b`; where `takes` is a device, it changes `b` for `a`. */
interface Move {
  readonly a: number;
  readonly b: number;
  readonly gives: number;
  readonly takes: number;
}

/** The move that undoes a move. */
const reverse = ({ a, b, gives, takes }: Move): Move => ({ a: b, b: a, gives, takes });

/** Leaves the best code it met in `o`. */
function search(o: Ownership, redundancy: number, even: boolean, bound: number, random: Random): { readonly least: number } {
  const { classCount, deviceCount, bits } = o;
  const attempts = attemptsFor(classCount);
  const proposals = proposalsOf(o, redundancy, even, random);
  const weights = Float64Array.from({ length: deviceCount + 3 }, (_, d) => base ** -d);
  const distances = new Int32Array(classCount * classCount);
  for (let a = 0; a < classCount; a++) {
    for (let b = 0; b < a; b++) {
      const d = distance(o, a, b);
      distances[a * classCount + b] = d;
      distances[b * classCount + a] = d;
    }
  }
  const measure = (): number => {
    let energy = 0;
    for (let a = 0; a < classCount; a++) for (let b = 0; b < a; b++) energy += weights[distances[a * classCount + b]!]!;
    return energy;
  };
  /** By how much a move takes class x away from a and nearer to b. */
  const shift = ({ gives, takes }: Move, x: number): number => {
    const row = x * deviceCount;
    return takes >= 0 ? 2 * (bits[row + gives]! - bits[row + takes]!) : 2 * bits[row + gives]! - 1;
  };
  const change = (move: Move): number => {
    let delta = 0;
    const { a, b } = move;
    for (let x = 0; x < classCount; x++) {
      if (x === a || x === b) continue;
      const t = shift(move, x);
      if (t === 0) continue;
      const toA = distances[a * classCount + x]!;
      const toB = distances[b * classCount + x]!;
      delta += weights[toA + t]! - weights[toA]! + weights[toB - t]! - weights[toB]!;
    }
    return delta;
  };
  const apply = (move: Move): void => {
    const { a, b, gives, takes } = move;
    for (let x = 0; x < classCount; x++) {
      if (x === a || x === b) continue;
      const t = shift(move, x);
      const toA = distances[a * classCount + x]! + t;
      const toB = distances[b * classCount + x]! - t;
      distances[a * classCount + x] = toA;
      distances[x * classCount + a] = toA;
      distances[b * classCount + x] = toB;
      distances[x * classCount + b] = toB;
    }
    bits[a * deviceCount + gives] = 0;
    bits[b * deviceCount + gives] = 1;
    if (takes >= 0) {
      bits[b * deviceCount + takes] = 0;
      bits[a * deviceCount + takes] = 1;
    } else {
      o.owners[a]!--;
      o.owners[b]!++;
    }
  };

  let energy = measure();
  let least = leastOf(distances, classCount);
  let best = { least, energy };
  // All pairs so far apart that none weighs anything, as in large fleets: no move would count for better.
  if (energy === 0) return best;
  /** Moves since the best code. A copy of the matrix for each that is better would cost as much as the fleet is large. */
  const moves: Move[] = [];
  const goBack = (): void => {
    for (let move = moves.pop(); move; move = moves.pop()) apply(reverse(move));
  };
  let since = 0;
  let jumping = 0;
  for (let i = 0; i < attempts && best.least < bound && proposals.spent() < mostScanned; i++) {
    if (++since > patience) {
      goBack();
      energy = measure();
      since = 0;
      jumping = jump;
    }
    const move = proposals.next();
    if (!move) continue;
    const delta = change(move);
    if (jumping === 0 && delta > 0) continue;
    apply(move);
    moves.push(move);
    energy += delta;
    if (jumping > 0) jumping--;
    if (energy < best.energy * (1 - 1e-9)) {
      least = leastOf(distances, classCount);
      if (least >= best.least) {
        best = { least, energy };
        moves.length = 0;
        since = 0;
      }
    }
  }
  goBack();
  return { least: best.least };
}

function leastOf(distances: Int32Array, classCount: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let a = 0; a < classCount; a++) for (let b = 0; b < a; b++) least = Math.min(least, distances[a * classCount + b]!);
  return least;
}

/** Random moves that keep sizes, coverage and preferences. */
interface Proposals {
  /** One, or undefined when the draw allows none. */
  readonly next: () => Move | undefined;
  /** Cells that were looked at in search of a second device. */
  readonly spent: () => number;
}

/** Of a large fleet, only devices are looked at that may give up a class at all; moves do not change which. */
function proposalsOf(o: Ownership, redundancy: number, even: boolean, random: Random): Proposals {
  const { classCount, deviceCount, bits, preferred, owners } = o;
  const mayGive = (device: number, classId: number): boolean => {
    const cell = classId * deviceCount + device;
    return bits[cell] === 1 && preferred[cell] === 0;
  };
  const isMovable = new Uint8Array(deviceCount);
  for (let device = 0; device < deviceCount; device++) {
    for (let classId = 0; classId < classCount; classId++) if (mayGive(device, classId)) isMovable[device] = 1;
  }
  const movable = Uint32Array.from(isMovable.keys()).filter((device) => isMovable[device] === 1);
  /** Place of the first of them that comes at `device` or after it. */
  const places = new Uint32Array(deviceCount + 1);
  for (let device = 0; device < deviceCount; device++) places[device + 1] = places[device]! + isMovable[device]!;
  let spent = 0;
  const next = (): Move | undefined => {
    const gives = random.below(deviceCount);
    const b = random.below(classCount);
    if (bits[b * deviceCount + gives] === 1) return undefined;
    const offset = random.below(classCount);
    if (isMovable[gives] === 0) return undefined;
    let a = -1;
    for (let i = 0; i < classCount && a < 0; i++) if (mayGive(gives, (i + offset) % classCount)) a = (i + offset) % classCount;
    if (a < 0) return undefined;
    const first = random.below(deviceCount + 1);
    if (owners[a]! > redundancy && (even ? owners[b]! < owners[a]! : first === deviceCount)) return { a, b, gives, takes: -1 };
    for (let i = 0; i < movable.length; i++) {
      spent++;
      const takes = movable[(places[first % deviceCount]! + i) % movable.length]!;
      if (mayGive(takes, b) && bits[a * deviceCount + takes] === 0) return { a, b, gives, takes };
    }
    return undefined;
  };
  return { next, spent: () => spent };
}
