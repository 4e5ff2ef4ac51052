import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { models } from "../models/table.ts";
import { random, shuffle } from "../util/random.ts";
import { catalog } from "./catalog.ts";
import { groupPreferences } from "./classGroups.ts";
import { type Plan, planFleet } from "./plan.ts";
import type { PlanRequest } from "./request.ts";

/** Twenty superclasses of five classes each, mixed as in CIFAR-100. */
const coarse: readonly number[] = shuffle(
  Array.from({ length: 100 }, (_, c) => c % 20),
  random(1, "coarse"),
);

/** Whether a task set holds all of a group or none of it, for every group. */
function isWhole(taskSet: readonly number[], groupOf: readonly number[]): boolean {
  return taskSet.every((c) => groupOf.every((group, other) => group !== groupOf[c] || taskSet.includes(other)));
}

describe("groupPreferences", () => {
  it("deals whole groups, as often to each as there is room for", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(),
        (size, groups, devices, owners, seed) => {
          fc.pre(owners <= devices && (groups * owners) % devices === 0);
          const groupOf = Array.from({ length: size * groups }, (_, c) => c % groups);
          const dealt = groupPreferences(groupOf, Array(devices).fill((size * groups * owners) / devices), seed);
          const counts = Array(size * groups).fill(0);
          for (const classes of dealt) {
            expect(new Set(classes).size).toBe(classes.length);
            expect(classes.length).toBe((size * groups * owners) / devices);
            expect(isWhole(classes, groupOf)).toBe(true);
            for (const c of classes) counts[c]++;
          }
          expect(counts).toEqual(Array(size * groups).fill(owners));
        },
      ),
      { seed: 1 },
    );
  });

  it("keeps to unequal capacities and sizes, and leaves out classes without a group and devices without room", () => {
    const groupOf = [0, 0, 0, 1, 1, 2, undefined];
    const dealt = groupPreferences(groupOf, [3, 0, 2, 1], 7);
    expect(dealt).toEqual([[0, 1, 2], [], [3, 4], [5]]);
  });

  it("depends on the seed", () => {
    const deal = (seed: number): unknown => groupPreferences(coarse, Array(5).fill(20), seed);
    expect(deal(1)).toEqual(deal(1));
    expect(deal(1)).not.toEqual(deal(2));
  });
});

const target = models.tiny.build({ channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] }, 100);
const base: PlanRequest = {
  target,
  classCount: 100,
  classCounts: Array(100).fill(500),
  classGroups: coarse,
  devices: [],
  redundancy: 1,
  rho: 0.25,
  epochs: 10,
  batchSize: 64,
  width: 0.5,
  seed: 1,
};
const laptops = (count: number): PlanRequest["devices"] =>
  Array.from({ length: count }, (_, i) => ({ id: `d${i}`, profile: catalog.laptop }));
const areWhole = (plan: Plan): boolean => plan.devices.every(({ taskSet }) => isWhole(taskSet, coarse));

describe("planFleet with superclasses", () => {
  it.each([
    [5, 20, 1, true],
    [5, 20, 1, false],
    [5, 40, 2, false],
    [10, 20, 2, false],
    [7, 30, 2, false],
    [20, 5, 1, false],
  ])("gives %i devices of %i classes whole superclasses, redundancy %i, disjoint %s", (devices, classesPerDevice, redundancy, disjoint) => {
    const plan = planFleet({ ...base, devices: laptops(devices), classesPerDevice, redundancy, disjoint });
    expect(plan.devices.map(({ taskSet }) => taskSet.length)).toEqual(Array(devices).fill(classesPerDevice));
    expect(areWhole(plan)).toBe(true);
    expect(plan.codewords.every((owners) => owners.length >= redundancy)).toBe(true);
    expect(plan.unmetPreferences).toEqual([]);
  });

  it("sizes unequal devices in whole superclasses too", () => {
    const profiles = [catalog["raspberry-pi-4"], catalog["phone-mid"], catalog.laptop, catalog.desktop, catalog["laptop-browser"]];
    const plan = planFleet({ ...base, redundancy: 2, devices: profiles.map((profile, i) => ({ id: `d${i}`, profile })) });
    expect(areWhole(plan)).toBe(true);
    expect(new Set(plan.devices.map(({ taskSet }) => taskSet.length)).size).toBeGreaterThan(1);
  });

  it("leaves a device's own preferences to it", () => {
    const own = { id: "own", profile: { ...catalog.laptop, preferredClasses: [3, 77, 50] } };
    const plan = planFleet({ ...base, devices: [own, ...laptops(5)], classesPerDevice: 20 });
    expect(plan.devices[0]?.taskSet).toEqual(expect.arrayContaining([3, 50, 77]));
    expect(plan.devices.slice(1).every(({ taskSet }) => isWhole(taskSet, coarse))).toBe(true);
  });

  it("has one group for every class", () => {
    expect(() => planFleet({ ...base, devices: laptops(5), classGroups: [1, 2] })).toThrow(/100 classes, but 2 of them have a group/);
  });
});
