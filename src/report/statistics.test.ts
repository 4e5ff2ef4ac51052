import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { confusionsByCount, rowSums, wilsonInterval } from "./statistics.ts";

describe("wilsonInterval", () => {
  // Reference values: solving |p - q| = z sqrt(q (1 - q) / n) for q by hand.
  it.each([
    [0.5, 100, 0.4038, 0.5962],
    [0, 10, 0, 0.2775],
    [1, 10, 0.7225, 1],
    [0.84, 10_000, 0.8327, 0.8471],
  ])("of %d in %d", (p, n, low, high) => {
    const interval = wilsonInterval(p, n);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  it("contains the share, stays within 0 to 1, and its ends solve the score equation", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, u) => {
        const p = Math.round(u * n) / n;
        const { low, high } = wilsonInterval(p, n);
        expect(low).toBeLessThanOrEqual(p + 1e-12);
        expect(high).toBeGreaterThanOrEqual(p - 1e-12);
        for (const q of [low, high]) {
          expect(q).toBeGreaterThanOrEqual(0);
          expect(q).toBeLessThanOrEqual(1);
          expect((p - q) ** 2).toBeCloseTo((1.959964 ** 2 * q * (1 - q)) / n, 8);
        }
      }),
    );
  });

  it("of nothing seen is everything", () => {
    expect(wilsonInterval(0, 0)).toEqual({ low: 0, high: 1 });
  });
});

const confusion = [
  [8, 2, 0],
  [1, 5, 4],
  [0, 2, 0],
];

it("rowSums counts test samples by true class", () => {
  expect(rowSums(confusion)).toEqual([10, 10, 2]);
});

it("confusionsByCount lists wrong answers, the most frequent first, ties in class order", () => {
  expect(confusionsByCount(confusion)).toEqual([
    { truth: 1, predicted: 2, count: 4, share: 0.4 },
    { truth: 0, predicted: 1, count: 2, share: 0.2 },
    { truth: 2, predicted: 1, count: 2, share: 1 },
    { truth: 1, predicted: 0, count: 1, share: 0.1 },
  ]);
});
