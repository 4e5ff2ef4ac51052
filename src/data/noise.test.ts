import { expect, test } from "vitest";
import { random } from "../util/random.ts";
import { generateNoise } from "./noise.ts";

const stretch = 80_000;

test("depends on the random source alone, whatever the length", () => {
  const noise = generateNoise(1000, random(1, "a"));
  expect(generateNoise(1000, random(1, "a"))).toEqual(noise);
  expect(generateNoise(600, random(1, "a"))).toEqual(noise.subarray(0, 600));
  expect(generateNoise(1000, random(2, "a"))).not.toEqual(noise);
});

test("stretches are of stated loudness, and of different colours", () => {
  const noise = generateNoise(12 * stretch, random(1, "noise"));
  const slopes = new Set<string>();
  for (let start = 0; start < noise.length; start += stretch) {
    let power = 0;
    let change = 0;
    for (let i = start + 1; i < start + stretch; i++) {
      power += noise[i]! ** 2;
      change += (noise[i]! - noise[i - 1]!) ** 2;
    }
    const loudness = Math.sqrt(power / stretch) / 32768;
    expect(loudness).toBeGreaterThan(0.018);
    expect(loudness).toBeLessThan(0.22);
    // Mean square of the change over that of the values: 2 for white noise, less for pink, hardly anything for brown.
    const ratio = change / power;
    slopes.add(ratio > 1.5 ? "white" : ratio > 0.1 ? "pink" : "brown");
  }
  expect([...slopes].sort()).toEqual(["brown", "pink", "white"]);
});
