import { expect, it } from "vitest";
import { durationText, openSpeedMeter } from "./speed.ts";

it("measures over the last while", () => {
  const meter = openSpeedMeter();
  expect(meter.pace(32)).toEqual({ samplesPerSecond: undefined, secondsLeft: undefined });
  // A slow start that is soon forgotten.
  meter.report({ progress: 0, step: 0 }, 0);
  for (let s = 0; s <= 40; s++) meter.report({ progress: 0.01 * s, step: 10 * s }, 100_000 + 1000 * s);
  const { samplesPerSecond, secondsLeft } = meter.pace(32);
  expect(samplesPerSecond).toBeCloseTo(320, 0);
  expect(secondsLeft).toBeCloseTo(60, 0);
});

it("begins anew with new work", () => {
  const meter = openSpeedMeter();
  meter.report({ progress: 0.9, step: 90 }, 0);
  meter.report({ progress: 0.1, step: 10 }, 1000);
  meter.report({ progress: 0.2, step: 20 }, 2000);
  expect(meter.pace(1)).toEqual({ samplesPerSecond: 10, secondsLeft: 8 });
  meter.reset();
  expect(meter.pace(1).secondsLeft).toBeUndefined();
});

it.each([
  [0.2, "1 s"],
  [75, "75 s"],
  [600, "10 min"],
  [7260, "2 h 1 min"],
])("%d seconds are %s", (seconds, text) => expect(durationText(seconds)).toBe(text));
