import { expect, it } from "vitest";
import { learningRateAt } from "../compile/schedules.ts";
import { parseConfig } from "./config.ts";
import { scheduleOf } from "./trainingSettings.ts";

const peakStep = (type: string, warmup: number): number => {
  const schedule = scheduleOf(parseConfig({ training: { schedule: { type, learningRate: 0.1, warmup } } }), "wide");
  const rates = Array.from({ length: 100 }, (_, step) => learningRateAt(schedule, step, 100));
  return rates.indexOf(Math.max(...rates));
};

it("reaches its peak after the configured share of all steps", () => {
  for (const type of ["cosine", "oneCycle"]) {
    for (const share of [0.2, 0.6]) expect(Math.abs(peakStep(type, share) - 100 * share)).toBeLessThanOrEqual(1);
  }
  expect(peakStep("constant", 0.2)).toBe(0);
});
