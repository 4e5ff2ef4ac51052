/** What task sets promise as a code: distance for free, and lost devices corrected. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random, shuffle } from "../util/random.ts";
import { assignTaskSets } from "./taskSets.ts";

type Sets = readonly (readonly number[])[];

/** Owners of each class that are not lost. */
const wordsOf = (sets: Sets, classCount: number, lost: readonly number[] = []): string[] =>
  Array.from({ length: classCount }, (_, c) => sets.flatMap((set, d) => (lost.includes(d) ? [] : [set.includes(c) ? "1" : "0"])).join(""));

function distanceOf(sets: Sets, classCount: number): number {
  const words = wordsOf(sets, classCount);
  let least = sets.length;
  for (const [i, a] of words.entries())
    for (const b of words.slice(0, i)) least = Math.min(least, [...a].filter((bit, d) => bit !== b[d]).length);
  return least;
}

/** Every set of `size` of `count` devices. */
function subsets(count: number, size: number, from = 0): number[][] {
  if (size === 0) return [[]];
  return Array.from({ length: count - from }, (_, i) => from + i).flatMap((d) =>
    subsets(count, size - 1, d + 1).map((rest) => [d, ...rest]),
  );
}

const covers = (sets: Sets, classCount: number, redundancy: number): boolean =>
  Array.from({ length: classCount }, (_, c) => sets.filter((set) => set.includes(c)).length).every((owners) => owners >= redundancy);

/** Fleets of equal devices: how many, and of how many classes each. */
const fleets = fc
  .record({ classCount: fc.integer({ min: 4, max: 10 }), devices: fc.integer({ min: 3, max: 9 }), seed: fc.nat(99) })
  .chain(
    (fleet) =>
      fc.record({
        ...Object.fromEntries(Object.entries(fleet).map(([k, v]) => [k, fc.constant(v)])),
        size: fc.integer({ min: 1, max: fleet.classCount - 1 }),
      }) as fc.Arbitrary<typeof fleet & { size: number }>,
  )
  .filter(({ classCount, devices, size }) => devices * size >= classCount);

describe("task sets as a code", () => {
  it("differ no less than task sets of the same sizes dealt out in a circle or drawn at random", () => {
    fc.assert(
      fc.property(fleets, ({ classCount, devices, size, seed }) => {
        const redundancy = Math.max(1, Math.floor((devices * size) / classCount) - 1);
        const code = assignTaskSets({
          classCount,
          devices: Array.from({ length: devices }, (_, i) => ({ id: `d${i}`, capacity: size })),
          redundancy,
          seed,
        });
        // The fleet computes as much: the same number of classes on every device.
        expect(code.taskSets.every((set) => set.length === size)).toBe(true);
        expect(covers(code.taskSets, classCount, redundancy)).toBe(true);
        expect(code.leastDistance).toBe(distanceOf(code.taskSets, classCount));
        expect(code.correctedErasures).toBe(Math.max(0, code.leastDistance - 1));
        const circles = [1, size].map((step) =>
          Array.from({ length: devices }, (_, d) => Array.from({ length: size }, (_, i) => (d * step + i) % classCount)),
        );
        const draws = Array.from({ length: 30 }, (_, draw) =>
          Array.from({ length: devices }, (_, d) => [
            ...shuffle(
              Uint32Array.from({ length: classCount }, (_, c) => c),
              random(seed, draw, d),
            ).subarray(0, size),
          ]),
        );
        for (const other of [...circles, ...draws])
          if (covers(other, classCount, redundancy)) expect(code.leastDistance).toBeGreaterThanOrEqual(distanceOf(other, classCount));
      }),
      { numRuns: 30, seed: 1 },
    );
  });

  it("keep every class's codeword its own, whichever devices are lost, up to the erasures that they correct; and not one more", () => {
    for (const [classCount, devices, capacity, expected] of [
      [8, 7, 4, 3],
      [10, 10, 4, 3],
      [6, 4, 3, 1],
    ] as const) {
      const fleet = Array.from({ length: devices }, (_, i) => ({ id: `d${i}`, capacity }));
      const { taskSets, correctedErasures } = assignTaskSets({ classCount, devices: fleet, redundancy: 1, seed: 1 });
      expect(correctedErasures).toBe(expected);
      const distinct = (lost: readonly number[]): boolean => new Set(wordsOf(taskSets, classCount, lost)).size === classCount;
      for (let count = 0; count <= correctedErasures; count++)
        for (const lost of subsets(devices, count)) expect(distinct(lost)).toBe(true);
      expect(subsets(devices, correctedErasures + 1).every(distinct)).toBe(false);
    }
  });

  it("of a redundancy of 1 with places for no more are disjoint groups", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 }), fc.nat(99), (devices, capacity, seed) => {
        const fleet = Array.from({ length: devices }, (_, i) => ({ id: `d${i}`, capacity }));
        const request = { classCount: devices * capacity, devices: fleet, redundancy: 1, seed };
        for (const disjoint of [false, true]) {
          const { taskSets, leastDistance, correctedErasures } = assignTaskSets({ ...request, disjoint });
          expect(taskSets.map((set) => set.length)).toEqual(fleet.map(() => capacity));
          expect(taskSets.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: devices * capacity }, (_, c) => c));
          // A class of one owner is two bits from that of another, and 0 from one of the same.
          if (devices > 1) expect([leastDistance, correctedErasures]).toEqual(capacity > 1 ? [0, 0] : [2, 1]);
        }
      }),
      { numRuns: 10, seed: 1 },
    );
  });
});
