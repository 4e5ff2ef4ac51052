import { describe, expect, it } from "vitest";
import { type Dataset, sharedBytes, sharedLabels } from "../data/dataset.ts";
import { buildModel } from "../models/table.ts";
import { networkCost } from "../network/shapes.ts";
import { parseConfig } from "./config.ts";
import { type PreparedRun, prepareRun } from "./prepare.ts";
import { fitOf } from "./target.ts";

/** Blank samples; classes take turns. */
function blankSet(classes: number, perClass: number, more: Partial<Dataset> = {}): Dataset {
  const labels = sharedLabels(classes * perClass).map((_, i) => i % classes);
  const classNames = Array.from({ length: classes }, (_, c) => `class${c}`);
  const shape = { channels: 1, height: 8, width: 8 };
  const store = { type: "memory", values: sharedBytes(labels.length * 64) } as const;
  return { name: "blank", classNames, shape, labels, store, mean: [0], std: [1], provenance: { source: "blank", sha256: "0" }, ...more };
}

function prepare(train: Dataset, config: Record<string, unknown>): PreparedRun {
  const parsed = parseConfig({ target: { network: "tiny" }, ...config });
  return prepareRun(parsed, buildModel("tiny", fitOf(train).input, train.classNames.length), train);
}

describe("a class that no device needs to own", () => {
  const train = blankSet(6, 100, { otherClass: 4 });
  const isOther = (i: number): boolean => train.labels[i] === 4;

  it.each([
    [{ type: "byClass" }, 0.5, 1],
    [{ type: "byClass" }, 0.5, 2],
    [{ type: "byClass", overlap: "split" }, 0.5, 2],
    [{ type: "dirichlet", alpha: 1 }, 1, 1],
    [{ type: "shards", shardsPerDevice: 6 }, 1, 1],
    [{ type: "iid" }, 0.25, 1],
  ])("is background for everybody, %o, rho %f, redundancy %i, and is learnt in the statistics pass", (partition, rho, redundancy) => {
    const { plan, devices, jobs } = prepare(train, { partition, rho, fleet: { width: 0.5, redundancy } });
    expect(plan.codewords[4]).toEqual([]);
    expect(plan.devices.flatMap(({ taskSet }) => taskSet)).not.toContain(4);
    expect(devices.flatMap(({ own }) => [...own]).some(isOther)).toBe(false);
    const held = new Set(devices.flatMap(({ background }) => [...background].filter(isOther)));
    expect(held.size).toBeGreaterThan(0);
    for (const { own, background, statistics, subModel } of devices) {
      // Of its own, and only such others as it holds and as belong to the class that nobody owns.
      expect([...statistics].filter((i) => !isOther(i)).every((i) => own.includes(i))).toBe(true);
      expect([...statistics].filter(isOther).every((i) => background.includes(i))).toBe(true);
      const job = jobs.find(({ id }) => id === subModel.device);
      for (const [place, i] of (job?.samples ?? []).entries()) if (isOther(i)) expect(job?.labels[place]).toBe(subModel.taskSet.length);
    }
    const passed = devices.flatMap(({ statistics }) => [...statistics].filter(isOther));
    expect(new Set(passed)).toEqual(held);
    expect(passed.length).toBe(held.size);
    const owned = devices.flatMap(({ own }) => [...own]);
    const summed = devices.flatMap(({ statistics }) => [...statistics].filter((i) => !isOther(i)));
    expect(summed.sort((a, b) => a - b)).toEqual([...new Set(owned)].sort((a, b) => a - b));
  });

  it("goes through the pass of as many devices as a sample of another class does where all owners sum", () => {
    const { devices } = prepare(train, { rho: 0.9, fleet: { width: 0.5, redundancy: 2 }, heads: { sums: "all" } });
    for (const { own, statistics } of devices) expect([...statistics].filter((i) => !isOther(i))).toEqual([...own]);
    const passed = devices.flatMap(({ statistics }) => [...statistics].filter(isOther));
    expect(passed.length).toBe(2 * new Set(passed).size);
  });

  it.each(["once", "all"])("costs what its samples in the statistics pass cost, and the plan expects about that, sums %s", (sums) => {
    const { plan, devices } = prepare(train, { rho: 0.5, fleet: { width: 0.5, redundancy: 2 }, heads: { sums } });
    let others = 0;
    for (const [i, { statistics, expected }] of devices.entries()) {
      const { statistics: planned } = plan.devices[i]!.expected.compute;
      expect(expected.compute.statistics / planned).toBeGreaterThan(0.9);
      expect(expected.compute.statistics / planned).toBeLessThan(1.1);
      others += statistics.filter(isOther).length;
    }
    expect(others).toBeGreaterThan(sums === "once" ? 85 : 170);
  });

  it("changes nothing where there is none", () => {
    const { devices } = prepare(blankSet(6, 100), { fleet: { width: 0.5 } });
    for (const { own, statistics } of devices) expect(statistics).toEqual(own);
  });
});

describe("heads.sums", () => {
  const train = blankSet(6, 101);
  const fleet = { width: 0.5, redundancy: 3 };

  it("once: every sample passes one device that owns it, dealt by the seed, evenly", () => {
    for (const negatives of ["local", "pool"]) {
      const { devices } = prepare(train, { fleet, negatives });
      const passed = devices.flatMap(({ statistics }) => [...statistics]);
      const owned = new Set(devices.flatMap(({ own }) => [...own]));
      expect(passed.sort((a, b) => a - b)).toEqual([...owned].sort((a, b) => a - b));
      for (const { own, statistics } of devices) {
        const mine = new Set(own);
        expect(statistics.every((i) => mine.has(i))).toBe(true);
        expect(statistics.length / own.length).toBeCloseTo(1 / 3, 1);
      }
    }
    const lists = (seed: number) => prepare(train, { fleet, seed }).devices.map(({ statistics }) => [...statistics]);
    expect(lists(1)).toEqual(lists(1));
    expect(lists(1)).not.toEqual(lists(2));
  });

  it("all: every device passes all of its own, at so many times the cost", () => {
    const [once, all] = ["once", "all"].map((sums) => prepare(train, { fleet, heads: { sums } }).devices);
    for (const [i, { own, statistics, expected }] of (all ?? []).entries()) {
      expect(statistics).toEqual(own);
      const less = once?.[i]?.expected as typeof expected;
      expect(expected.compute.statistics / less.compute.statistics).toBeCloseTo(3, 0);
      expect(less.ratio).toBeGreaterThan(expected.ratio);
      expect([less.compute.own, less.compute.background, less.fullTargetMacs]).toEqual([
        expected.compute.own,
        expected.compute.background,
        expected.fullTargetMacs,
      ]);
    }
  });

  it("once: sub-models are wider at the same ratio", () => {
    const [once, all] = ["once", "all"].map(
      (sums) => prepare(train, { fleet: { redundancy: 3, minimumRatio: 3 }, training: { epochs: 4 }, heads: { sums } }).plan.devices,
    );
    for (const [i, device] of (once ?? []).entries()) {
      expect(device.size).toBeGreaterThan(all?.[i]?.size ?? 1);
      expect(device.expected.ratio).toBeGreaterThanOrEqual(3);
    }
  });

  it("is the same where a sample has one owner", () => {
    for (const partition of [{ type: "byClass", overlap: "split" }, { type: "iid" }]) {
      const [once, all] = ["once", "all"].map((sums) => prepare(train, { fleet, partition, heads: { sums } }));
      expect(once?.plan).toEqual(all?.plan);
      expect(once?.devices).toEqual(all?.devices);
    }
  });
});

describe("a warm start by class activation", () => {
  const train = blankSet(6, 100);
  const prepared = (trained: boolean, fleet: Record<string, unknown> = {}): PreparedRun => {
    const config = parseConfig({ target: { network: "tiny" }, fleet: { redundancy: 3, ...fleet }, training: { epochs: 4 } });
    return prepareRun(config, buildModel("tiny", fitOf(train).input, 6), train, trained);
  };

  it("is charged in the plan, which keeps the ratio that is asked for", () => {
    const [cold, warm] = [false, true].map((trained) => prepared(trained, { minimumRatio: 3 }));
    for (const [i, { planned, expected, activation }] of (warm?.devices ?? []).entries()) {
      expect(activation.length).toBeGreaterThan(0);
      expect(expected.ratio).toBeGreaterThanOrEqual(3);
      expect(planned.expected.compute.warmStart).toBeCloseTo(expected.compute.warmStart);
      expect(planned.size).toBeLessThanOrEqual(cold?.devices[i]?.planned.size ?? 0);
    }
    expect(warm?.devices.some(({ planned }, i) => planned.size < (cold?.devices[i]?.planned.size ?? 0))).toBe(true);
  });

  it("costs nothing where filters are taken by their places", () => {
    expect(prepared(true, { warmStart: "position" }).plan).toEqual(prepared(false).plan);
  });
});

describe("fleet.groupBy coarse", () => {
  const labels = sharedLabels(400).map((_, i) => i % 20);
  const coarse = { classNames: ["a", "b", "c", "d"], labels: labels.map((label) => label % 4) };
  const train = blankSet(20, 20, { coarse });
  const devices = Array.from({ length: 4 }, () => ({ profile: "laptop" }));

  it("gives devices whole superclasses", () => {
    for (const [classesPerDevice, redundancy] of [
      [5, 1],
      [10, 2],
    ]) {
      const { plan } = prepare(train, { fleet: { devices, groupBy: "coarse", classesPerDevice, redundancy, width: 0.5 } });
      for (const { taskSet } of plan.devices) {
        expect(taskSet.length).toBe(classesPerDevice);
        expect(new Set(taskSet.map((c) => c % 4)).size).toBe((classesPerDevice ?? 0) / 5);
      }
    }
  });

  it("needs superclasses, each class in one of them, and the partition byClass", () => {
    const fleet = { devices, groupBy: "coarse", width: 0.5 };
    expect(() => prepare(blankSet(20, 20), { fleet })).toThrow(/blank has no superclasses/);
    expect(() => prepare(train, { fleet, partition: { type: "iid" } })).toThrow(/partition "iid"/);
    const torn = { ...coarse, labels: coarse.labels.map((group, i) => (i === 41 ? 0 : group)) };
    expect(() => prepare(blankSet(20, 20, { coarse: torn }), { fleet })).toThrow(/Sample 41 of blank, of class "class1"/);
  });
});

describe("fleet.epochs", () => {
  it("are of sub-models and the slim control, paid for in the plan and in the account by the same target", () => {
    const train = blankSet(6, 100);
    const plain = prepare(train, { fleet: { width: 0.5 }, training: { epochs: 4 } });
    const longer = prepare(train, { fleet: { width: 0.5, epochs: 8 }, training: { epochs: 4 } });
    const epochs = Object.fromEntries(longer.jobs.map(({ id, settings }) => [id, settings.epochs]));
    expect(epochs).toEqual({ ...Object.fromEntries(longer.devices.map(({ planned }) => [planned.id, 8])), slim: 8, central: 4 });
    for (const [i, { expected, planned }] of longer.devices.entries()) {
      const once = plain.devices[i]?.expected as typeof expected;
      expect(expected.compute.own).toBeCloseTo(2 * once.compute.own, 6);
      expect(expected.compute.statistics).toBe(once.compute.statistics);
      expect([expected.fullTargetMacs, planned.expected.fullTargetMacs]).toEqual([once.fullTargetMacs, once.fullTargetMacs]);
      expect(planned.expected.compute.own).toBeCloseTo(expected.compute.own, 6);
    }
  });
});

describe("fleet.hardShare", () => {
  const train = blankSet(6, 100);
  const fleet = { width: 0.5 };
  const hard = prepare(train, { fleet: { ...fleet, hardShare: 0.25 }, training: { batchSize: 16 }, settle: { passes: 1 } });

  it("is of sub-models and the slim control, not of the central one", () => {
    const shares = Object.fromEntries(hard.jobs.map(({ id, settings }) => [id, settings.hardShare]));
    expect(shares).toEqual({
      ...Object.fromEntries(hard.devices.map(({ planned }) => [planned.id, 0.25])),
      slim: 0.25,
      central: undefined,
    });
  });

  it("is charged in what is planned and in what is done: 1 + 3 / 4 forwards instead of 3, settling as ever", () => {
    const plain = prepare(train, { fleet, training: { batchSize: 16 }, settle: { passes: 1 } });
    for (const [i, { expected }] of hard.devices.entries()) {
      const whole = plain.devices[i]?.expected as typeof expected;
      expect(expected.compute.own / whole.compute.own).toBeCloseTo(1.75 / 3, 9);
      expect(expected.compute.background / whole.compute.background).toBeCloseTo(1.75 / 3, 9);
      expect(expected.compute.settle).toBe(whole.compute.settle);
      expect(expected.fullTargetMacs).toBe(whole.fullTargetMacs);
      expect(hard.plan.devices[i]?.expected.compute.own).toBeCloseTo(expected.compute.own, 6);
    }
  });
});

describe("fleet.progressive", () => {
  const train = blankSet(6, 100);
  const training = { epochs: 4 };
  const alone = prepare(train, { fleet: { width: 0.5, progressive: { scale: 0.5, epochs: 0.5 } }, training });

  it("is of sub-models and the slim control alone", () => {
    const settings = Object.fromEntries(alone.jobs.map(({ id, settings: { progressive } }) => [id, progressive?.scale]));
    expect(settings).toEqual({
      ...Object.fromEntries(alone.devices.map(({ planned }) => [planned.id, 0.5])),
      slim: 0.5,
      central: undefined,
    });
  });

  it("spares devices what training.progressive does, and the full target in the ratio nothing", () => {
    const plain = prepare(train, { fleet: { width: 0.5 }, training });
    const both = prepare(train, { fleet: { width: 0.5 }, training: { ...training, progressive: { scale: 0.5, epochs: 0.5 } } });
    for (const [i, { expected, planned }] of alone.devices.entries()) {
      expect(expected.compute.own).toBe(both.devices[i]?.expected.compute.own);
      expect(expected.fullTargetMacs).toBe(plain.devices[i]?.expected.fullTargetMacs);
      expect(planned.expected.ratio).toBeCloseTo(expected.ratio, 9);
    }
  });

  it("is refused beside training.progressive", () => {
    expect(() => prepare(train, { fleet: { progressive: {} }, training: { progressive: {} } })).toThrow(/both are given/);
  });
});

describe("training.progressive", () => {
  const train = blankSet(6, 100);
  const training = { epochs: 4, batchSize: 16 };
  const small = prepare(train, { fleet: { width: 0.5 }, training: { ...training, progressive: { scale: 0.5, epochs: 0.5 } } });

  it("is of sub-models and both controls", () => {
    for (const { settings } of small.jobs) expect(settings.progressive).toEqual({ scale: 0.5, epochs: 0.5 });
    expect(small.jobs.map(({ id }) => id)).toEqual(expect.arrayContaining(["slim", "central"]));
    expect(prepare(train, { fleet: { width: 0.5 }, training }).jobs.every(({ settings }) => settings.progressive === undefined)).toBe(true);
  });

  it("is charged in what is planned and in what is done, and counts for the full target too", () => {
    const plain = prepare(train, { fleet: { width: 0.5 }, training });
    for (const [i, { expected, subModel }] of small.devices.entries()) {
      const whole = plain.devices[i]?.expected as typeof expected;
      // Two of four epochs at a quarter of the pixels; the linear layer costs the same.
      const macs = networkCost(subModel.network).macs;
      const linear = 16 * (subModel.taskSet.length + 1);
      const share = (2 * macs + 2 * ((macs - linear) / 4 + linear)) / (4 * macs);
      expect(expected.compute.own / whole.compute.own).toBeCloseTo(share, 9);
      expect(expected.compute.background / whole.compute.background).toBeCloseTo(share, 9);
      expect(expected.compute.statistics).toBe(whole.compute.statistics);
      expect(expected.fullTargetMacs / whole.fullTargetMacs).toBeGreaterThan(0.62);
      expect(expected.fullTargetMacs / whole.fullTargetMacs).toBeLessThan(0.63);
      expect(small.plan.devices[i]?.expected.compute.own).toBeCloseTo(expected.compute.own, 6);
    }
  });

  it("is refused for clips", () => {
    const audio = { sampleRate: 16000, features: {}, noise: new Int16Array() } as unknown as NonNullable<Dataset["audio"]>;
    expect(() => prepare({ ...train, audio }, { training: { progressive: {} } })).toThrow(
      "training.progressive makes images smaller, but the samples of blank are clips; leave it out.",
    );
  });
});
