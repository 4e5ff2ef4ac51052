import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkSchedule, learningRateAt, type ScheduleConfig } from "./schedules.ts";

const rates = (config: ScheduleConfig, steps: number): number[] =>
  Array.from({ length: steps }, (_, i) => learningRateAt(config, i, steps));
const fraction = fc.double({ min: 0, max: 1, noNaN: true });
const anySchedule: fc.Arbitrary<ScheduleConfig> = fc.oneof(
  fc.record({ type: fc.constant("constant" as const), learningRate: fc.constant(0.1) }),
  fc.record({ type: fc.constant("cosine" as const), learningRate: fc.constant(0.1), warmup: fraction, end: fraction }),
  fc.record({ type: fc.constant("oneCycle" as const), learningRate: fc.constant(0.1), warmup: fraction, start: fraction, end: fraction }),
);

describe("learningRateAt", () => {
  it("is finite, from 0 to the peak, and rises once and falls once", () => {
    fc.assert(
      fc.property(anySchedule, fc.integer({ min: 1, max: 60 }), (config, steps) => {
        const values = rates(config, steps);
        const top = values.indexOf(Math.max(...values));
        for (const value of values) expect(value >= 0 && value <= 0.1 + 1e-12).toBe(true);
        values.slice(1).forEach((value, i) => {
          if (i < top) expect(value).toBeGreaterThanOrEqual(values[i]! - 1e-12);
          else expect(value).toBeLessThanOrEqual(values[i]! + 1e-12);
        });
      }),
    );
  });

  it("gives known values", () => {
    expect(rates({ type: "constant", learningRate: 0.5 }, 3)).toEqual([0.5, 0.5, 0.5]);
    const cosine = rates({ type: "cosine", learningRate: 1, warmup: 0.5 }, 8);
    [0.25, 0.5, 0.75, 1, 1, 0.8536, 0.5, 0.1464].forEach((value, i) => {
      expect(cosine[i]).toBeCloseTo(value, 4);
    });
    const cycle = rates({ type: "oneCycle", learningRate: 1, warmup: 0.5, start: 0.2, end: 0 }, 5);
    [0.2, 0.6, 1, 0.5, 0].forEach((value, i) => {
      expect(cycle[i]).toBeCloseTo(value, 10);
    });
  });
});

describe("checkSchedule", () => {
  it("refuses rates and fractions out of range", () => {
    expect(() => checkSchedule({ type: "constant", learningRate: 0 })).toThrow(/must be a positive number, got 0/);
    expect(() => checkSchedule({ type: "cosine", learningRate: Number.NaN })).toThrow(/NaN/);
    expect(() => checkSchedule({ type: "cosine", learningRate: 1, warmup: 5 })).toThrow(/"warmup" of schedule "cosine".* got 5/);
    checkSchedule({ type: "oneCycle", learningRate: 1 });
  });
});
