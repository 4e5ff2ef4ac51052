import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SheafError } from "../util/errors.ts";
import { shareOut } from "./shareOut.ts";
import { assignTaskSets, type TaskSetRequest, type TaskSets } from "./taskSets.ts";
import { membersOf, teamsOf } from "./teams.ts";

const fleet = (count: number, capacity: number): TaskSetRequest["devices"] =>
  Array.from({ length: count }, (_, i) => ({ id: `d${i}`, capacity }));

/** Least distance between codewords as sets of devices, counted the slow way. */
function slowLeastDistance({ codewords, taskSets }: TaskSets): number {
  let least = taskSets.length;
  for (const a of codewords) {
    for (const b of codewords) {
      if (a !== b) least = Math.min(least, a.filter((d) => !b.includes(d)).length + b.filter((d) => !a.includes(d)).length);
    }
  }
  return least;
}

/** Requests that can be met: capacities are raised until they cover every class. */
const requests: fc.Arbitrary<TaskSetRequest> = fc.integer({ min: 1, max: 9 }).chain((classCount) =>
  fc
    .record({
      redundancy: fc.integer({ min: 1, max: 3 }),
      seed: fc.nat(5),
      devices: fc.array(
        fc.record({
          capacity: fc.integer({ min: 1, max: classCount + 1 }),
          preferredClasses: fc.option(fc.uniqueArray(fc.nat(classCount - 1), { maxLength: 4 }), { nil: undefined }),
        }),
        { minLength: 3, maxLength: 6 },
      ),
    })
    .map(({ redundancy, seed, devices }) => {
      const capacities = devices.map((d) => d.capacity);
      const places = (): number => capacities.reduce((sum, capacity) => sum + Math.min(capacity, classCount), 0);
      for (let i = 0; places() < classCount * redundancy; i = (i + 1) % capacities.length) capacities[i]!++;
      return { classCount, redundancy, seed, devices: devices.map((d, i) => ({ ...d, id: `d${i}`, capacity: capacities[i]! })) };
    }),
);

describe("assignTaskSets", () => {
  it("covers every class, fills every place and reports the code as it is", () => {
    fc.assert(
      fc.property(requests, (request) => {
        const { classCount, redundancy, devices } = request;
        const result = assignTaskSets(request);
        expect(result.taskSets.map((set) => set.length)).toEqual(devices.map((d) => Math.min(d.capacity, classCount)));
        for (const set of result.taskSets) expect(set).toEqual([...new Set(set)].sort((a, b) => a - b));
        for (const [classId, owners] of result.codewords.entries()) {
          expect(owners.length).toBeGreaterThanOrEqual(redundancy);
          expect(owners).toEqual(devices.flatMap((_, i) => (result.taskSets[i]?.includes(classId) ? [i] : [])));
        }
        expect(result.leastDistance).toBe(slowLeastDistance(result));
        for (const [i, { id, preferredClasses = [] }] of devices.entries()) {
          const missing = preferredClasses.filter((c) => !result.taskSets[i]?.includes(c));
          expect(result.unmetPreferences.find((u) => u.id === id)?.classes ?? []).toEqual(missing);
        }
        expect(assignTaskSets(request)).toEqual(result);
      }),
      { numRuns: 25, seed: 1 },
    );
  });

  it("parts classes exactly into disjoint groups, by capacity", () => {
    fc.assert(
      fc.property(requests, (request) => {
        const devices = request.devices.slice(0, request.classCount);
        fc.pre(devices.reduce((sum, d) => sum + Math.min(d.capacity, request.classCount), 0) >= request.classCount);
        const { taskSets, codewords } = assignTaskSets({ ...request, devices, redundancy: 1, disjoint: true });
        expect(taskSets.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: request.classCount }, (_, c) => c));
        expect(codewords.every((owners) => owners.length === 1)).toBe(true);
        for (const [i, set] of taskSets.entries()) {
          expect(set.length).toBeGreaterThan(0);
          expect(set.length).toBeLessThanOrEqual(devices[i]?.capacity ?? 0);
        }
      }),
      { seed: 1 },
    );
  });

  it("gives five devices two classes each, disjoint", () => {
    const { taskSets, leastDistance } = assignTaskSets({ classCount: 10, devices: fleet(5, 2), redundancy: 1, disjoint: true, seed: 1 });
    expect(taskSets.map((set) => set.length)).toEqual([2, 2, 2, 2, 2]);
    // Two classes of one device have the same codeword.
    expect(leastDistance).toBe(0);
  });

  it("parts classes into disjoint groups that teams own whole", () => {
    fc.assert(
      fc.property(requests, fc.integer({ min: 2, max: 3 }), (request, owners) => {
        const devices = request.devices.slice(0, request.classCount * owners);
        fc.pre(devices.length >= owners);
        const teams = teamsOf(
          devices.map(({ capacity }) => capacity),
          owners,
        );
        const room = membersOf(teams).map((team) => Math.min(request.classCount, ...team.map((i) => devices[i]!.capacity)));
        fc.pre(room.length <= request.classCount && room.reduce((sum, places) => sum + places, 0) >= request.classCount);
        const { taskSets, codewords, leastDistance, correctedErasures } = assignTaskSets({
          ...request,
          devices,
          redundancy: owners,
          disjoint: true,
          teams,
        });
        for (const [i, set] of taskSets.entries()) {
          expect(set).toEqual(taskSets[teams.indexOf(teams[i]!)]);
          expect(set.length).toBeLessThanOrEqual(devices[i]!.capacity);
        }
        for (const word of codewords) {
          expect(word.length).toBeGreaterThanOrEqual(owners);
          expect(new Set(word.map((i) => teams[i])).size).toBe(1);
        }
        // A repetition code: two classes of one group have one codeword, those of different groups none in common.
        const hasPairs = taskSets.some((set) => set.length > 1);
        if (hasPairs) expect([leastDistance, correctedErasures]).toEqual([0, 0]);
        else if (request.classCount > 1) expect(leastDistance).toBeGreaterThanOrEqual(2 * owners);
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  it("gives a team what its members would like, each its dearest first", () => {
    const wishes = [[0, 3], [1], [2], []];
    const devices = wishes.map((preferredClasses, i) => ({ id: `d${i}`, capacity: 2, preferredClasses }));
    const { taskSets, unmetPreferences } = assignTaskSets({
      classCount: 4,
      devices,
      redundancy: 2,
      disjoint: true,
      teams: [0, 0, 1, 1],
      seed: 1,
    });
    expect(taskSets).toEqual([
      [0, 1],
      [0, 1],
      [2, 3],
      [2, 3],
    ]);
    expect(unmetPreferences).toEqual([{ id: "d0", classes: [3] }]);
  });

  it("balances disjoint groups by capacity", () => {
    const devices = [8, 4, 4, 2].map((capacity, i) => ({ id: `d${i}`, capacity }));
    const { taskSets } = assignTaskSets({ classCount: 9, devices, redundancy: 1, disjoint: true, seed: 1 });
    expect(taskSets.map((set) => set.length)).toEqual([4, 2, 2, 1]);
  });

  it.each([1, 2, 3, 4])("reaches distance 4 with ten devices of four classes out of ten (seed %i)", (seed) => {
    // 5 is out of reach: columns of 4 ones give 10 * 4 * 6 = 240 as the sum of 45 distances. At a least distance of 5, codewords whose weights have the
    // same parity differ in 6 or more; with 5 and 5 of each parity that is 20 * 6 + 25 * 5 = 245, and more with any other split.
    expect(assignTaskSets({ classCount: 10, devices: fleet(10, 4), redundancy: 1, seed }).leastDistance).toBe(4);
  });

  it("finds the simplex code: seven devices of four classes out of eight", () => {
    // All 28 distances sum to 7 * 4 * 4 = 112, so that 4 is the most, reached only where every two classes differ in 4.
    expect(assignTaskSets({ classCount: 8, devices: fleet(7, 4), redundancy: 1, seed: 1 }).leastDistance).toBe(4);
  });

  it("keeps numbers of owners even where distance does not ask for more", () => {
    const { codewords } = assignTaskSets({ classCount: 10, devices: fleet(5, 4), redundancy: 1, seed: 1 });
    expect(codewords.map((owners) => owners.length)).toEqual(Array(10).fill(2));
  });

  it("gives preferred classes first, and takes one away only for coverage", () => {
    const wish = (id: string, ...preferredClasses: number[]) => ({ id, capacity: 2, preferredClasses });
    const met = assignTaskSets({
      classCount: 6,
      devices: [wish("a", 5, 0), wish("b", 5, 2), wish("c"), wish("d")],
      redundancy: 1,
      seed: 1,
    });
    expect(met.taskSets[0]).toEqual([0, 5]);
    expect(met.taskSets[1]).toEqual([2, 5]);
    expect(met.unmetPreferences).toEqual([]);
    // Six places for six classes: of the two who want class 5 one must give it up.
    const crowded = assignTaskSets({
      classCount: 6,
      devices: [wish("a", 5, 0), wish("b", 5, 2), wish("c", 1, 3, 4)],
      redundancy: 1,
      seed: 1,
    });
    expect(crowded.codewords.map((owners) => owners.length)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(crowded.unmetPreferences.map(({ classes }) => classes)).toEqual([[5], [4]]);
  });

  it("tells 100 classes on 50 devices apart", () => {
    const { leastDistance } = assignTaskSets({ classCount: 100, devices: fleet(50, 20), redundancy: 5, seed: 1 });
    // Twenty of a hundred classes each: the mean distance is 50 * 20 * 80 / 4950 = 16.2.
    expect(leastDistance).toBeGreaterThanOrEqual(10);
  });

  it.each([
    [
      "too few places",
      { classCount: 10, devices: fleet(3, 3), redundancy: 1, seed: 1 },
      /9 classes in all.*need 10: class 9 cannot be covered/,
    ],
    [
      "far too few",
      { classCount: 10, devices: fleet(4, 3), redundancy: 2, seed: 1 },
      /need 20: 4 classes \(such as 6 to 9\) cannot be covered/,
    ],
    [
      "more owners than devices",
      { classCount: 2, devices: fleet(3, 2), redundancy: 4, seed: 1 },
      /redundancy of 4 needs 4 devices.*there are 3/,
    ],
    [
      "disjoint groups with several owners and no teams",
      { classCount: 2, devices: fleet(3, 2), redundancy: 2, disjoint: true, seed: 1 },
      /Disjoint groups with 2 owners.*teams of 2 devices or more, but one has 1/,
    ],
    [
      "disjoint with too many devices",
      { classCount: 2, devices: fleet(3, 2), redundancy: 1, disjoint: true, seed: 1 },
      /3 devices.*2 classes/,
    ],
    ["a device without room", { classCount: 2, devices: fleet(3, 0), redundancy: 1, seed: 1 }, /"d0" can take 0/],
    [
      "a preference for no class",
      { classCount: 2, devices: [{ id: "a", capacity: 2, preferredClasses: [2] }], redundancy: 1, seed: 1 },
      /prefers class 2.*0 to 1/,
    ],
  ])("refuses %s", (_what, request: TaskSetRequest, message) => {
    expect(() => assignTaskSets(request)).toThrow(SheafError);
    expect(() => assignTaskSets(request)).toThrow(message);
  });
});

describe("shareOut", () => {
  it("follows weights within bounds", () => {
    expect(shareOut(10, [1, 4], [1, 1], [10, 10])).toEqual([2, 8]);
    expect(shareOut(10, [1, 4], [1, 1], [10, 6])).toEqual([4, 6]);
    expect(shareOut(10, [1, 100], [3, 1], [10, 10])).toEqual([3, 7]);
    expect(shareOut(10, [1, 1], [1, 1], [3, 4])).toEqual([3, 4]);
  });
});

describe("a class that nobody is to own", () => {
  it("is never dealt out, and the others are covered", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.integer({ min: 1, max: 6 }),
        fc.boolean(),
        fc.nat(),
        (classCount, count, disjoint, seed) => {
          const unowned = seed % classCount;
          fc.pre(!disjoint || count < classCount);
          const { taskSets, codewords, leastDistance } = assignTaskSets({
            classCount,
            devices: fleet(count, classCount),
            redundancy: 1,
            disjoint,
            unownedClasses: [unowned],
            seed,
          });
          expect(taskSets.flat()).not.toContain(unowned);
          expect(codewords[unowned]).toEqual([]);
          for (const [classId, owners] of codewords.entries()) {
            if (classId !== unowned) expect(owners.length).toBeGreaterThanOrEqual(1);
            for (const device of owners) expect(taskSets[device]).toContain(classId);
          }
          const apart = (a: readonly number[], b: readonly number[]): number =>
            a.filter((d) => !b.includes(d)).length + b.filter((d) => !a.includes(d)).length;
          const distances = codewords.flatMap((a, i) => codewords.slice(0, i).map((b) => apart(a, b)));
          expect(leastDistance).toBe(Math.min(...distances));
        },
      ),
      { numRuns: 40, seed: 1 },
    );
  });

  it("may stand anywhere: the rest is dealt as if it were not there", () => {
    const request = { classCount: 6, devices: fleet(4, 3), redundancy: 2, seed: 5 };
    const without = assignTaskSets(request);
    const shifted = assignTaskSets({ ...request, classCount: 7, unownedClasses: [2] });
    expect(shifted.taskSets).toEqual(without.taskSets.map((set) => set.map((c) => (c < 2 ? c : c + 1))));
  });

  it("cannot be preferred, must exist, and cannot be every class", () => {
    const request = { classCount: 3, devices: [{ id: "a", capacity: 3, preferredClasses: [1] }], redundancy: 1, seed: 1 };
    expect(() => assignTaskSets({ ...request, unownedClasses: [1] })).toThrow(/"a" prefers class 1, but nobody is to own it/);
    expect(() => assignTaskSets({ ...request, unownedClasses: [3] })).toThrow(
      /Class 3 is to be left without owners, but the classes are 0 to 2/,
    );
    expect(() => assignTaskSets({ ...request, unownedClasses: [0, 1, 2] })).toThrow(/None of the 3 classes may be owned/);
  });
});
