import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkSchedule, learningRateAt, type ScheduleConfig } from "./schedules.ts";

const curve = (config: ScheduleConfig, steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => learningRateAt(config, step, steps));

describe("learningRateAt", () => {
  test("constant", () => {
    expect(curve({ type: "constant", learningRate: 0.3 }, 3)).toEqual([0.3, 0.3, 0.3]);
  });

  test("cosine without warm-up starts at the peak, is half of it half-way and ends at 0", () => {
    const rates = curve({ type: "cosine", learningRate: 0.2 }, 101);
    expect(rates[0]).toBe(0.2);
    expect(rates[25]).toBeCloseTo(0.1 * (1 + Math.SQRT1_2), 12);
    expect(rates[50]).toBeCloseTo(0.1, 12);
    expect(rates[100]).toBeCloseTo(0, 12);
  });

  test("cosine with warm-up rises in equal parts, never from 0", () => {
    const rates = curve({ type: "cosine", learningRate: 0.5, warmup: 0.04, finalFraction: 0.1 }, 104);
    expect(rates.slice(0, 5).map((r) => Number(r.toFixed(12)))).toEqual([0.1, 0.2, 0.3, 0.4, 0.5]);
    expect(rates[103]).toBeCloseTo(0.05, 12);
    expect(Math.max(...rates)).toBe(0.5);
  });

  test("one-cycle starts at a 25th, peaks after 3 tenths and ends at a ten-thousandth", () => {
    const rates = curve({ type: "oneCycle", learningRate: 1 }, 101);
    expect(rates[0]).toBeCloseTo(0.04, 12);
    expect(rates[15]).toBeCloseTo(0.52, 12);
    expect(rates[30]).toBe(1);
    expect(rates[65]).toBeCloseTo((1 + 1e-4) / 2, 12);
    expect(rates[100]).toBeCloseTo(1e-4, 12);
  });

  test("one-cycle takes its divisors and its rise", () => {
    const rates = curve({ type: "oneCycle", learningRate: 1, rise: 0.5, startDivisor: 10, finalDivisor: 100 }, 21);
    expect([rates[0], rates[10], rates[20]].map((r) => Number(r?.toFixed(12)))).toEqual([0.1, 1, 0.01]);
  });

  const unit = fc.double({ min: 0, max: 1, noNaN: true });
  const rate = fc.double({ min: 1e-6, max: 10, noNaN: true });
  const configs: fc.Arbitrary<ScheduleConfig> = fc.oneof(
    fc.record({ type: fc.constant("constant" as const), learningRate: rate }),
    fc.record({ type: fc.constant("cosine" as const), learningRate: rate, warmup: unit, finalFraction: unit }),
    fc.record({ type: fc.constant("oneCycle" as const), learningRate: rate, rise: unit }),
  );

  test("is never negative or above the peak, whatever the settings and the number of steps", () => {
    fc.assert(
      fc.property(configs, fc.integer({ min: 1, max: 40 }), (config, steps) => {
        checkSchedule(config);
        for (const value of curve(config, steps)) {
          expect(value).toBeGreaterThanOrEqual(-1e-15);
          expect(value).toBeLessThanOrEqual(config.learningRate * (1 + 1e-12));
        }
      }),
      { seed: 6 },
    );
  });

  test("reaches the peak, rises before it and falls after it", () => {
    fc.assert(
      fc.property(configs, fc.integer({ min: 2, max: 40 }), (config, steps) => {
        fc.pre(config.type !== "cosine" || Math.round((config.warmup ?? 0) * steps) < steps);
        const rates = curve(config, steps);
        const peak = rates.indexOf(Math.max(...rates));
        expect(rates[peak]).toBeCloseTo(config.learningRate, 9);
        const slack = 1e-12 * config.learningRate;
        for (let i = 1; i < steps; i++) {
          const change = (rates[i] as number) - (rates[i - 1] as number);
          expect(i <= peak ? change >= -slack : change <= slack, `step ${i}, peak ${peak}`).toBe(true);
        }
      }),
      { seed: 7 },
    );
  });

  test("one step has the peak, so that it is not lost", () => {
    expect(learningRateAt({ type: "cosine", learningRate: 0.1 }, 0, 1)).toBe(0.1);
    expect(learningRateAt({ type: "oneCycle", learningRate: 0.1 }, 0, 1)).toBe(0.1);
  });
});

describe("checkSchedule", () => {
  test.each([
    [{ type: "constant", learningRate: 0 }, 'Schedule "constant": learningRate must be a positive number, got 0.'],
    [{ type: "cosine", learningRate: Number.NaN }, 'Schedule "cosine": learningRate must be a positive number, got NaN.'],
    [{ type: "cosine", learningRate: 1, warmup: 1.5 }, 'Schedule "cosine": warmup must be between 0 and 1, got 1.5.'],
    [{ type: "cosine", learningRate: 1, finalFraction: -1 }, 'Schedule "cosine": finalFraction must be between 0 and 1, got -1.'],
    [{ type: "oneCycle", learningRate: 1, rise: 2 }, 'Schedule "oneCycle": rise must be between 0 and 1, got 2.'],
    [{ type: "oneCycle", learningRate: 1, startDivisor: 0 }, 'Schedule "oneCycle": startDivisor must be at least 1, got 0.'],
  ] as const)("refuses %j", (config, message) => {
    expect(() => checkSchedule(config)).toThrow(expect.objectContaining({ code: "config", message }));
  });
});
