import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SheafError } from "../../util/errors.ts";
import { samplesByClass } from "../dataset.ts";
import type { Partition } from "./partition.ts";
import { partitioners } from "./partitioners.ts";

const classCount = 5;
const anyLabels = fc.array(fc.nat(classCount - 1), { minLength: 24, maxLength: 120 }).map((labels) => Uint16Array.from(labels));
const anySeed = fc.integer();
const anyDeviceCount = fc.integer({ min: 1, max: 6 });
const total = (parts: readonly Uint32Array[]): number => parts.reduce((sum, part) => sum + part.length, 0);

function expectAscending(parts: readonly Uint32Array[]): void {
  for (const part of parts) for (let i = 1; i < part.length; i++) expect(part[i]).toBeGreaterThan(part[i - 1] ?? -1);
}

function expectDisjointAndComplete(parts: readonly Uint32Array[], expected: readonly number[]): void {
  expect([...parts.flatMap((part) => [...part])].sort((a, b) => a - b)).toEqual([...expected].sort((a, b) => a - b));
}

/** The partitioners that deal all samples out, with options for a number of devices. */
const dealers: Record<string, (labels: Uint16Array, deviceCount: number, seed: number) => Partition> = {
  iid: (labels, deviceCount, seed) => partitioners.iid(labels, classCount, { deviceCount }, seed),
  shards: (labels, deviceCount, seed) => partitioners.shards(labels, classCount, { deviceCount, shardsPerDevice: 3 }, seed),
  "dirichlet, alpha 0.05": (labels, deviceCount, seed) => partitioners.dirichlet(labels, classCount, { deviceCount, alpha: 0.05 }, seed),
  "dirichlet, alpha 50": (labels, deviceCount, seed) => partitioners.dirichlet(labels, classCount, { deviceCount, alpha: 50 }, seed),
};

describe.each(Object.entries(dealers))("%s", (name, deal) => {
  test("is disjoint, complete, ascending, deterministic and without background", () => {
    fc.assert(
      fc.property(anyLabels, anyDeviceCount, anySeed, (labels, deviceCount, seed) => {
        const { own, background } = deal(labels, deviceCount, seed);
        expect(own.length).toBe(deviceCount);
        expectDisjointAndComplete(own, [...labels.keys()]);
        expectAscending(own);
        expect(background.map((part) => part.length)).toEqual(own.map(() => 0));
        expect(deal(labels, deviceCount, seed)).toEqual({ own, background });
      }),
      { numRuns: 50 },
    );
  });

  test("gives equal sizes, to one sample a device (a shard)", () => {
    fc.assert(
      fc.property(anyLabels, anyDeviceCount, anySeed, (labels, deviceCount, seed) => {
        const sizes = deal(labels, deviceCount, seed).own.map((part) => part.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(name === "shards" ? 3 : 1);
      }),
      { numRuns: 50 },
    );
  });

  test("differs between seeds", () => {
    const labels = Uint16Array.from({ length: 100 }, (_, i) => i % classCount);
    expect(deal(labels, 4, 1)).not.toEqual(deal(labels, 4, 2));
  });

  test("refuses more devices than samples", () => {
    expect(() => deal(Uint16Array.of(0, 1, 2), 4, 0)).toThrow(/1 to 3 devices/);
  });
});

const balanced = Uint16Array.from({ length: 1000 }, (_, i) => i % classCount);
const classesHeld = (part: Uint32Array, labels: Uint16Array): number => new Set(Array.from(part, (index) => labels[index])).size;

test("with as many shards as fit a class, a device sees at most as many classes as it has shards", () => {
  const { own } = partitioners.shards(balanced, classCount, { deviceCount: 10, shardsPerDevice: 2 }, 7);
  for (const part of own) expect(classesHeld(part, balanced)).toBeLessThanOrEqual(2);
});

/** Mean, over devices, of the largest class share. */
function concentration({ own }: Partition): number {
  const shares = own.map((part) => {
    const counts = new Array<number>(classCount).fill(0);
    for (const index of part) counts[balanced[index] ?? 0]! += 1;
    return Math.max(...counts) / part.length;
  });
  return shares.reduce((a, b) => a + b, 0) / shares.length;
}

test("dirichlet goes from one class a device to equal mixtures as alpha grows", () => {
  const at = (alpha: number): number => concentration(partitioners.dirichlet(balanced, classCount, { deviceCount: 5, alpha }, 3));
  expect(at(1e-3)).toBeGreaterThan(0.75);
  expect(at(1)).toBeGreaterThan(at(100));
  expect(at(1e5)).toBeLessThan(0.27);
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])("dirichlet refuses alpha %s", (alpha) => {
  expect(() => partitioners.dirichlet(balanced, classCount, { deviceCount: 5, alpha }, 3)).toThrow(/alpha/);
});

test("shards refuses more shards than samples", () => {
  expect(() => partitioners.shards(Uint16Array.of(0, 1, 2), 3, { deviceCount: 2, shardsPerDevice: 2 }, 3)).toThrow(SheafError);
});

describe("byClass", () => {
  const anyClassesOf = fc.array(fc.uniqueArray(fc.nat(classCount - 1), { minLength: 1 }), { minLength: 1, maxLength: 5 });
  const anyShare = fc.double({ min: 0, max: 1, noNaN: true });
  const samplesOf = (labels: Uint16Array, classes: readonly number[]): number[] =>
    [...labels.keys()].filter((index) => classes.includes(labels[index] ?? -1));

  test("split: own parts are disjoint, complete over the owned classes, of the device's classes, and even within a class", () => {
    fc.assert(
      fc.property(anyLabels, anyClassesOf, anySeed, (labels, classesOf, seed) => {
        const { own } = partitioners.byClass(labels, classCount, { classesOf, overlap: "split", backgroundShare: 0 }, seed);
        expectDisjointAndComplete(own, samplesOf(labels, classesOf.flat()));
        expectAscending(own);
        for (const label of new Set(classesOf.flat())) {
          const counts = classesOf.flatMap((classes, device) =>
            classes.includes(label) ? [Array.from(own[device] ?? []).filter((index) => labels[index] === label).length] : [],
          );
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        }
        for (const [device, part] of own.entries()) {
          for (const index of part) expect(classesOf[device]).toContain(labels[index]);
        }
      }),
    );
  });

  test("share: every owner has all samples of its classes", () => {
    fc.assert(
      fc.property(anyLabels, anyClassesOf, anySeed, (labels, classesOf, seed) => {
        const { own } = partitioners.byClass(labels, classCount, { classesOf, overlap: "share", backgroundShare: 0 }, seed);
        expect(own.map((part) => [...part])).toEqual(classesOf.map((classes) => samplesOf(labels, classes)));
      }),
    );
  });

  test("background has rho times the samples of other classes, stratified, and none of the device's own classes", () => {
    fc.assert(
      fc.property(anyLabels, anyClassesOf, anyShare, anySeed, (labels, classesOf, backgroundShare, seed) => {
        const { background } = partitioners.byClass(labels, classCount, { classesOf, overlap: "split", backgroundShare }, seed);
        expectAscending(background);
        for (const [device, part] of background.entries()) {
          const classes = classesOf[device] ?? [];
          const others = labels.length - samplesOf(labels, classes).length;
          expect(part.length).toBe(Math.round(backgroundShare * others));
          const drawn = samplesByClass(
            Uint16Array.from(part, (index) => labels[index] ?? 0),
            classCount,
          );
          samplesByClass(labels, classCount).forEach((group, label) => {
            const expected = classes.includes(label) || others === 0 ? 0 : (part.length * group.length) / others;
            expect(Math.abs((drawn[label]?.length ?? 0) - expected)).toBeLessThan(1);
          });
        }
      }),
    );
  });

  test("rho 1 gives all other samples, rho 0 none", () => {
    const classesOf = [[0, 1], [2]];
    const at = (backgroundShare: number): Partition =>
      partitioners.byClass(balanced, classCount, { classesOf, overlap: "split", backgroundShare }, 1);
    expect([...(at(1).background[0] ?? [])]).toEqual(samplesOf(balanced, [2, 3, 4]));
    expect([...(at(1).background[1] ?? [])]).toEqual(samplesOf(balanced, [0, 1, 3, 4]));
    expect(total(at(0).background)).toBe(0);
  });

  test("is deterministic; another seed, and another device, draws another background", () => {
    const classesOf = [
      [0, 1],
      [0, 1],
      [2, 3, 4],
    ];
    const at = (seed: number): Partition =>
      partitioners.byClass(balanced, classCount, { classesOf, overlap: "split", backgroundShare: 0.25 }, seed);
    expect(at(1)).toEqual(at(1));
    expect(at(1).own).not.toEqual(at(2).own);
    expect(at(1).background).not.toEqual(at(2).background);
    expect(at(1).background[0]).not.toEqual(at(1).background[1]);
  });

  test.each([
    ["no device", [], 0, /at least one device/],
    ["a device without classes", [[0], []], 0, /Device 1 owns no class/],
    ["an unknown class", [[5]], 0, /class 5, but the classes are 0 to 4/],
    ["a class listed twice", [[1, 1]], 0, /twice/],
    ["rho above 1", [[1]], 1.5, /between 0 and 1, got 1.5/],
  ] as const)("refuses %s", (_, classesOf, backgroundShare, message) => {
    expect(() => partitioners.byClass(balanced, classCount, { classesOf, overlap: "split", backgroundShare }, 0)).toThrow(message);
  });
});
