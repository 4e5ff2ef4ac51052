import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { models } from "../models/table.ts";
import { narrow } from "../network/narrow.ts";
import type { Network, NetworkInput } from "../network/network.ts";
import { networkCost, outputShape } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { catalog } from "./catalog.ts";
import { branchCost, expectedCost, fleetCost } from "./cost.ts";
import { describePlan } from "./describe.ts";
import type { DeviceProfile } from "./device.ts";
import { type Plan, planFleet } from "./plan.ts";
import { narrowestWidth, type PlanRequest } from "./request.ts";

const input: NetworkInput = { channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] };
const vgg11: Network = models.vgg11.build(input, 10);
const tiny: Network = models.tiny.build(input, 10);

const fleet = (...profiles: DeviceProfile[]): PlanRequest["devices"] => profiles.map((profile, i) => ({ id: `d${i}`, profile }));
const same = (count: number, profile: DeviceProfile): PlanRequest["devices"] => fleet(...Array<DeviceProfile>(count).fill(profile));

const base: PlanRequest = {
  target: vgg11,
  classCount: 10,
  classCounts: Array(10).fill(5000),
  devices: same(5, catalog.laptop),
  redundancy: 1,
  disjoint: true,
  rho: 0.25,
  epochs: 10,
  batchSize: 64,
  seed: 1,
};

const planError = (request: PlanRequest, message: RegExp, code = "plan"): void => {
  let thrown: unknown;
  try {
    planFleet(request);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SheafError);
  expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) });
};

const widthsOf = (plan: Plan): number[] => plan.devices.map(({ size }) => size);

describe("planFleet", () => {
  it("charges five equal devices of two classes by hand", () => {
    const { devices } = planFleet({ ...base, width: 0.28, shape: "uniform" });
    const part = networkCost(narrow(vgg11, 0.28, 3));
    // Two classes of 5000; a quarter of the other 40 000. Features 143 a branch (512 * 0.28), log-probabilities 3.
    const sums = 715 * (715 + 10) + 15 * (15 + 10);
    const statistics = 10_000 * (5 * part.macs + sums);
    const training = 3 * part.macs * 20_000 * 10;
    for (const { ownSamples, backgroundSamples, taskSet, expected, network } of devices) {
      expect([ownSamples, backgroundSamples, taskSet.length]).toEqual([10_000, 10_000, 2]);
      expect(outputShape(network).channels).toBe(3);
      expect(expected.compute).toEqual({
        own: training / 2,
        background: training / 2,
        statistics,
        settle: 0,
        warmStart: 0,
        total: training + statistics,
      });
      expect(expected.fullTargetMacs).toBe(3 * networkCost(vgg11).macs * 10_000 * 10);
      expect(expected.ratio).toBeCloseTo(expected.fullTargetMacs / (training + statistics), 12);
      expect(expected.seconds).toBeCloseTo((training + statistics) / 48e9 + (8 * (expected.bytesDown + expected.bytesUp)) / 50e6, 9);
    }
  });

  it("keeps every limit, and no device could be a step wider", () => {
    const speeds = fc.array(fc.double({ min: 5e8, max: 1e11, noNaN: true }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(speeds, fc.integer({ min: 20, max: 2000 }), fc.boolean(), (all, deadlineSeconds, withRatio) => {
        const request: PlanRequest = {
          ...base,
          target: tiny,
          devices: fleet(...all.map((macsPerSecond) => ({ ...catalog.laptop, macsPerSecond }))),
          deadlineSeconds,
          ...(withRatio ? { minimumRatio: 2 } : {}),
        };
        let plan: Plan;
        try {
          plan = planFleet(request);
        } catch (error) {
          expect(error).toMatchObject({ code: "plan" });
          return;
        }
        const ok = (widths: readonly number[]): boolean => {
          const branches = plan.devices.map(({ taskSet }, i) => branchCost(narrow(tiny, widths[i]!, taskSet.length + 1)));
          const total = fleetCost(branches);
          return plan.devices.every((device, i) => {
            const workload = { ...device, targetMacs: networkCost(tiny).macs, classCount: 10 };
            const { seconds, memoryBytes, ratio } = expectedCost(branches[i]!, workload, device.profile, total);
            return seconds <= deadlineSeconds && memoryBytes <= device.profile.memoryBytes && (!withRatio || ratio >= 2);
          });
        };
        const widths = widthsOf(plan);
        expect(ok(widths)).toBe(true);
        for (const [i, width] of widths.entries()) {
          expect(width).toBeGreaterThanOrEqual(narrowestWidth);
          if (width < 1) expect(ok(widths.map((w, j) => (i === j ? Math.round(100 * w + 1) / 100 : w)))).toBe(false);
        }
        expect(plan.devices.flatMap((d) => d.taskSet).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        expect(plan.devices.length + plan.excluded.length).toBe(all.length);
      }),
      { numRuns: 25, seed: 1 },
    );
  });

  it("gives stronger devices wider sub-models and more classes", () => {
    const devices = fleet(catalog["raspberry-pi-3"], catalog["raspberry-pi-5"], catalog.laptop, catalog.desktop);
    const plan = planFleet({ ...base, devices, deadlineSeconds: 3600 });
    const sizes = plan.devices.map(({ taskSet }) => taskSet.length);
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    expect(sizes[3]).toBeGreaterThan(sizes[0]!);
    const widths = widthsOf(plan);
    expect(widths).toEqual([...widths].sort((a, b) => a - b));
    expect(widths[3]).toBeGreaterThan(2 * widths[0]!);
    for (const { expected } of plan.devices) expect(expected.seconds).toBeLessThanOrEqual(3600);
  });

  it("saves as much as is asked for, everything charged", () => {
    const plan = planFleet({ ...base, minimumRatio: 11.8 });
    for (const { expected, ownSamples } of plan.devices) {
      expect(expected.fullTargetMacs).toBe(3 * networkCost(vgg11).macs * ownSamples * 10);
      expect(expected.ratio).toBeGreaterThanOrEqual(11.8);
      expect(expected.ratio).toBeLessThan(14);
    }
    expect(planFleet(base).devices.every(({ size }) => size === 1)).toBe(true);
    expect(planFleet({ ...base, maxWidth: 0.333 }).devices.every(({ size }) => size === 0.333)).toBe(true);
    expect(planFleet({ ...base, statisticsPass: false }).devices[0]?.expected.compute.statistics).toBe(0);
  });

  it("plans overlapping codes with redundancy", () => {
    const plan = planFleet({
      ...base,
      disjoint: false,
      redundancy: 2,
      classesPerDevice: 4,
      devices: same(10, catalog["phone-high"]),
      width: 0.25,
    });
    expect(plan.devices.map(({ taskSet }) => taskSet.length)).toEqual(Array(10).fill(4));
    expect(plan.codewords.every((owners) => owners.length >= 2)).toBe(true);
    expect(plan.leastDistance).toBe(4);
    const derived = planFleet({ ...base, disjoint: false, redundancy: 2, width: 0.25 });
    expect(derived.devices.map(({ taskSet }) => taskSet.length)).toEqual([4, 4, 4, 4, 4]);
    // Every device has all samples of its classes, or half of them when its classes are split between two owners.
    expect(derived.devices.map((d) => d.ownSamples)).toEqual(Array(5).fill(20_000));
    const split = planFleet({ ...base, disjoint: false, redundancy: 2, width: 0.25, overlap: "split" });
    expect(split.devices.map((d) => d.ownSamples)).toEqual(Array(5).fill(10_000));
    expect(split.devices.map((d) => d.backgroundSamples)).toEqual(Array(5).fill(7_500));
  });

  it("leaves out a device that cannot take part where the others suffice", () => {
    const small = { ...catalog["phone-low"], memoryBytes: 2e8 };
    const plan = planFleet({ ...base, devices: fleet(catalog.laptop, small, catalog.laptop), maxWidth: 0.25 });
    expect(plan.devices.map(({ id }) => id)).toEqual(["d0", "d2"]);
    expect(plan.codewords.flat().includes("d1")).toBe(false);
    expect(plan.excluded).toHaveLength(1);
    expect(plan.excluded[0]?.reason).toMatch(
      /^Device "d1" needs \d+ MB of memory at the narrowest width 0.05 with 1 class and has 200 MB\.$/,
    );
    const eleven = planFleet({
      ...base,
      devices: [...same(10, catalog.laptop), { id: "old", profile: catalog["raspberry-pi-3"] }],
      width: 0.25,
    });
    expect(eleven.excluded).toEqual([{ id: "old", reason: expect.stringContaining("slowest of 11") }]);
  });

  it("gives fewer classes to a fast device whose memory holds no more of their samples", () => {
    const sizes = (memoryBytes: number): number[] => {
      const devices = fleet({ ...catalog.desktop, memoryBytes }, catalog.laptop, catalog.laptop);
      const plan = planFleet({ ...base, disjoint: false, devices, maxWidth: 0.25 });
      expect(plan.devices[0]?.expected.memoryBytes).toBeLessThanOrEqual(memoryBytes);
      expect(plan.codewords.every((owners) => owners.length >= 1)).toBe(true);
      return plan.devices.map(({ taskSet }) => taskSet.length);
    };
    // Pixels of one class and a quarter of nine take 50 MB, each further class 11.5 MB more.
    expect(sizes(1e9)).toEqual([4, 3, 3]);
    expect(sizes(2.4e8)).toEqual([2, 4, 4]);
    expect(sizes(2.3e8)).toEqual([1, 5, 4]);
  });

  it("reports preferences that it could not meet", () => {
    const wants = { ...catalog.laptop, preferredClasses: [9, 8, 7] };
    const plan = planFleet({ ...base, devices: fleet(wants, ...Array(4).fill(catalog.laptop)), classesPerDevice: 2, width: 0.25 });
    expect(plan.devices[0]?.taskSet).toEqual([8, 9]);
    expect(plan.unmetPreferences).toEqual([{ id: "d0", classes: [7] }]);
  });

  it("leaves a class without owners where it is told to, whose samples are background", () => {
    const request: PlanRequest = { ...base, classCounts: [...Array(9).fill(5000), 20_000], unownedClasses: [9], width: 0.28 };
    const plan = planFleet(request);
    expect(plan.devices.flatMap(({ taskSet }) => taskSet).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(plan.codewords[9]).toEqual([]);
    for (const { taskSet, ownSamples, backgroundSamples } of plan.devices) {
      expect(ownSamples).toBe(5000 * taskSet.length);
      expect(backgroundSamples).toBe(0.25 * (65_000 - ownSamples));
    }
    expect(describePlan(plan, Array.from("abcdefghij"))).toMatch(/Every class has 1 owner;/);
    const none = planFleet({ ...request, classCounts: [...Array(9).fill(5000), 0] });
    expect(none.codewords).toEqual(plan.codewords);
    planError({ ...request, classesPerDevice: 10 }, /there are 9 classes to own/, "config");
  });

  it("gives disjoint groups to teams of devices as fast as one another, at the cost of overlapping sets", () => {
    const [slow, fast] = [catalog["laptop-browser"], catalog.laptop];
    const request = { ...base, redundancy: 2, devices: fleet(fast, slow, slow, fast, slow) };
    const { devices, codewords } = planFleet(request);
    const [one, , other] = devices.map(({ taskSet }) => taskSet);
    expect(devices.map(({ taskSet }) => taskSet)).toEqual([one, other, other, one, other]);
    expect([...(one ?? []), ...(other ?? [])].sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, classId) => classId));
    // The fifth device joins the slower team.
    expect(new Set(codewords.map((owners) => owners.join()))).toEqual(new Set(["d0,d3", "d1,d2,d4"]));
    const equal = { ...base, redundancy: 2, devices: same(10, slow), minimumRatio: 11.8 };
    const [groups, overlapping] = [true, false].map((disjoint) => planFleet({ ...equal, disjoint }));
    const cost = (plan: typeof groups): number => plan!.devices.reduce((sum, { expected }) => sum + expected.compute.total, 0);
    expect(groups!.devices.map(({ taskSet }) => taskSet.length)).toEqual(overlapping!.devices.map(({ taskSet }) => taskSet.length));
    expect(Math.abs(cost(groups) / cost(overlapping) - 1)).toBeLessThan(0.05);
    expect([groups!.correctedErasures, overlapping!.correctedErasures]).toEqual([0, 1]);
  });

  it("is pure", () => {
    const request = { ...base, deadlineSeconds: 1800, devices: fleet(catalog["raspberry-pi-4"], catalog.laptop, catalog["phone-mid"]) };
    expect(planFleet(request)).toEqual(planFleet(request));
  });

  it("plans a hundred classes on fifty unequal devices", () => {
    const profiles = [catalog["raspberry-pi-4"], catalog["phone-mid"], catalog.laptop, catalog["laptop-browser"], catalog.desktop];
    const request: PlanRequest = {
      ...base,
      target: models.vgg11.build(input, 100),
      classCount: 100,
      classCounts: Array(100).fill(500),
      devices: fleet(...Array.from({ length: 50 }, (_, i) => profiles[i % 5]!)),
      disjoint: false,
      redundancy: 5,
      deadlineSeconds: 7200,
    };
    const plan = planFleet(request);
    expect(plan.devices.length + plan.excluded.length).toBe(50);
    expect(plan.codewords.every((owners) => owners.length >= 5)).toBe(true);
  });

  it("says why there is no plan", () => {
    const weak = { ...catalog["phone-low"], memoryBytes: 1e8 };
    planError(
      { ...base, devices: same(2, weak) },
      /^No device can take part: Device "d1" needs \d+ MB of memory at the narrowest width 0.05 with 1 class and has 100 MB/,
    );
    planError({ ...base, deadlineSeconds: 1 }, /Device "d4" needs .* at the narrowest width 0.05 with 1 class and the deadline is 1.0 s\./);
    planError({ ...base, minimumRatio: 1e5 }, /saves \d+x of the full target's computation .* and 100000x is asked for/);
    planError({ ...base, width: 1, minimumRatio: 11.8, classesPerDevice: 2 }, /8 classes in all.*Left out: Device "d4" saves 0\.\dx/);
    planError({ ...base, disjoint: false, redundancy: 6 }, /redundancy of 6 needs 6 devices or more, but there are 5/);
    planError({ ...base, redundancy: 6 }, /Disjoint groups with 6 owners.*but one has 5/);
    planError(
      { ...base, disjoint: false, classesPerDevice: 1 },
      /5 classes in all, but 10 classes with 1 owner each need 10: 5 classes \(such as 5 to 9\)/,
    );
    planError({ ...base, devices: [] }, /no device/);
    planError({ ...base, classCounts: [...Array(9).fill(5), 0] }, /Class 9 has no training sample/);
  });

  it("refuses requests that make no sense", () => {
    planError({ ...base, classCount: 9, classCounts: Array(9).fill(1) }, /10 logits.*9 classes/, "config");
    planError({ ...base, rho: 1.5 }, /rho.*1\.5/, "config");
    planError({ ...base, epochs: 0 }, /epochs.*got 0/, "config");
    planError({ ...base, width: -1 }, /width must be positive, got -1/, "config");
    planError({ ...base, maxWidth: 0.01 }, /maxWidth must be at least 0.05/, "config");
    planError({ ...base, classesPerDevice: 11 }, /classesPerDevice is 11/, "config");
    planError({ ...base, devices: [...same(1, catalog.laptop), ...same(1, catalog.laptop)] }, /"d0" is listed twice/, "config");
    planError({ ...base, devices: same(1, { ...catalog.laptop, memoryBytes: 0 }) }, /memoryBytes must be positive/, "config");
  });
});

describe("describePlan", () => {
  it("shows devices, the code, who was left out and what was not met", () => {
    const wants = { ...catalog.laptop, preferredClasses: [9, 8, 7] };
    const small = { ...catalog["phone-low"], memoryBytes: 2e8 };
    const plan = planFleet({
      ...base,
      target: tiny,
      devices: fleet(wants, catalog.laptop, small),
      classesPerDevice: 5,
      batchSize: 128,
      width: 0.5,
    });
    const names = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    expect(describePlan(plan, names)).toMatchInlineSnapshot(`
      "device  profile  classes                         width   MACs  parameters    time  memory  saved
      d0      laptop   plane, car, horse, ship, truck   0.50  516 k      1.52 k  10.6 s  298 MB   2.4x
      d1      laptop   bird, cat, deer, dog, frog       0.50  516 k      1.52 k  10.6 s  298 MB   2.4x

      Every class has 1 owner; some classes have the same owners, and only their own logits tell them apart.
      Left out: Device "d2" needs 275 MB of memory at width 0.5 with 3 classes and has 200 MB."
    `);
    expect(describePlan(planFleet({ ...base, width: 0.25 }), [])).toContain("8, 9");
  });
});
