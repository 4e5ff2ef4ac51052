import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SheafError } from "../util/errors.ts";
import type { Dataset } from "./dataset.ts";
import { apportion, channelStatistics, drawStratified, samplesByClass, splitOff, subset, takeSamples } from "./dataset.ts";
import { openMemorySamples } from "./samples.ts";

/** One-pixel two-channel samples whose pixels tell their index. */
function numbered(labels: readonly number[], classCount = 3): Dataset {
  return {
    name: "numbered",
    classNames: Array.from({ length: classCount }, (_, i) => `class ${i}`),
    shape: { channels: 2, height: 1, width: 1 },
    labels: Uint16Array.from(labels),
    store: { type: "memory", values: Uint8Array.from(labels.flatMap((_, i) => [i, 255 - i])) },
    mean: [1, 2],
    std: [3, 4],
    provenance: { source: "made up", sha256: "0" },
    coarse: { classNames: ["even", "odd"], labels: Uint16Array.from(labels, (label) => label % 2) },
  };
}

function identities(dataset: Dataset): number[] {
  const samples = openMemorySamples(dataset);
  return Array.from(dataset.labels, (_, i) => samples.record(i)[0] ?? -1);
}

describe("channelStatistics", () => {
  test("is the mean and population deviation of each channel", () => {
    const { mean, std } = channelStatistics(Uint8Array.of(0, 10, 7, 7, 20, 30, 7, 7), { channels: 2, height: 1, width: 2 });
    expect(mean).toEqual([15, 7]);
    expect(std[0]).toBeCloseTo(Math.sqrt(125), 12);
    expect(std[1]).toBe(1); // constant: safe to divide by
  });
});

describe("takeSamples", () => {
  test("is a view of the same store, with labels and coarse labels in the order asked for", () => {
    const taken = takeSamples(numbered([0, 1, 2, 1]), [3, 0, 3]);
    expect([...taken.labels]).toEqual([1, 0, 1]);
    expect(identities(taken)).toEqual([3, 0, 3]);
    expect(identities(takeSamples(taken, [1, 2]))).toEqual([0, 3]);
    expect([...(taken.coarse?.labels ?? [])]).toEqual([1, 0, 1]);
    expect(taken.mean).toEqual([1, 2]);
    expect(taken.records?.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(taken.provenance.source).toContain("3 of 4 samples");
  });

  test("refuses an index out of range", () => {
    expect(() => takeSamples(numbered([0, 1]), [2])).toThrow(/samples 0 to 1, but sample 2/);
  });
});

test("samplesByClass refuses a label without a class", () => {
  expect(() => samplesByClass(Uint16Array.of(0, 3), 3)).toThrow(SheafError);
});

test("apportion sums to the total, stays within one of the exact share and within the weights", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60), { minLength: 1, maxLength: 12 }), fc.double({ min: 0, max: 1, noNaN: true }), (weights, share) => {
      const sum = weights.reduce((a, b) => a + b, 0);
      const total = Math.round(share * sum);
      const parts = apportion(total, weights);
      expect(parts.reduce((a, b) => a + b, 0)).toBe(total);
      for (const [i, part] of parts.entries()) {
        const weight = weights[i] ?? 0;
        expect(part).toBeLessThanOrEqual(weight);
        if (sum > 0) expect(Math.abs(part - (total * weight) / sum)).toBeLessThan(1);
      }
    }),
  );
});

test("drawStratified draws distinct members, and all of them when asked for all", () => {
  const groups = [
    [0, 3, 6],
    [1, 4],
    [2, 5, 7, 8],
  ];
  const drawn = drawStratified(groups, 5, 1, "test");
  expect(new Set(drawn).size).toBe(5);
  expect([...drawStratified(groups, 9, 1, "test")]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

describe("subset and splitOff", () => {
  const labels = Array.from({ length: 120 }, (_, i) => (i < 60 ? 0 : i < 100 ? 1 : 2));

  test("a subset keeps class proportions and order, and depends on the seed", () => {
    const part = subset(numbered(labels), 12, 5);
    expect(samplesByClass(part.labels, 3).map((group) => group.length)).toEqual([6, 4, 2]);
    expect(identities(part)).toEqual([...identities(part)].sort((a, b) => a - b));
    expect(identities(subset(numbered(labels), 12, 5))).toEqual(identities(part));
    expect(identities(subset(numbered(labels), 12, 6))).not.toEqual(identities(part));
  });

  test("a subset larger than the set is refused with both numbers", () => {
    expect(() => subset(numbered(labels), 121, 0)).toThrow(/1 to 120 samples.*got 121/);
  });

  test("a validation split is disjoint, complete and stratified", () => {
    const { train, validation } = splitOff(numbered(labels), 0.1, 3);
    expect([...identities(train), ...identities(validation)].sort((a, b) => a - b)).toEqual(labels.map((_, i) => i));
    expect(samplesByClass(validation.labels, 3).map((group) => group.length)).toEqual([6, 4, 2]);
  });

  test.each([0, 1, -0.1, Number.NaN, 0.001])("a validation fraction of %s is refused", (fraction) => {
    expect(() => splitOff(numbered(labels), fraction, 0)).toThrow(SheafError);
  });
});
