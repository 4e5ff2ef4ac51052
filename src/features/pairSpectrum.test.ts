import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../util/random.ts";
import { openPairSpectrum } from "./pairSpectrum.ts";

const noise = (seed: number, samples: number): Float32Array => {
  const source = random(seed, "noise");
  return Float32Array.from({ length: samples }, () => 0.3 * source.normal());
};

/** Power of bin `k` by the definition of the transform. */
function powerAt(k: number, points: number, wave: Float32Array, start: number, window: Float64Array): number {
  let [re, im] = [0, 0];
  window.forEach((weight, n) => {
    const angle = (2 * Math.PI * ((k * n) % points)) / points;
    re += weight * wave[start + n]! * Math.cos(angle);
    im -= weight * wave[start + n]! * Math.sin(angle);
  });
  return re * re + im * im;
}

describe("the spectra of two windows", () => {
  it.each([4, 8, 16, 32, 64, 128, 512, 1024])(
    "are the sums of their definition at %i points, whatever part of them a window fills",
    (points) => {
      const wave = noise(1, 4 * points);
      for (const length of new Set([points, Math.ceil(0.625 * points), Math.ceil(0.3 * points), 1])) {
        const source = random(2, "window");
        const window = Float64Array.from({ length }, () => source.uniform());
        const { powers, transform } = openPairSpectrum(window, points);
        transform(wave, 3, points + 5);
        for (let k = 0; k <= points / 2; k += points > 64 ? 7 : 1) {
          expect(powers[0][k]).toBeCloseTo(powerAt(k, points, wave, 3, window), 9);
          expect(powers[1][k]).toBeCloseTo(powerAt(k, points, wave, points + 5, window), 9);
        }
      }
    },
  );

  it("keep the energy (Parseval)", () => {
    const wave = noise(4, 2048);
    const { powers, transform } = openPairSpectrum(new Float64Array(1024).fill(1), 1024);
    transform(wave, 0, 1024);
    powers.forEach((power, i) => {
      const energy = wave.subarray(1024 * i, 1024 * (i + 1)).reduce((sum, v) => sum + v * v, 0);
      expect(power.reduce((sum, v, k) => sum + v * (k === 0 || k === 512 ? 1 : 2), 0) / 1024).toBeCloseTo(energy, 9);
    });
  });

  it("are the same to 1e-10 with any partner, exactly again with the same, whatever came before", () => {
    const window = new Float64Array(40).fill(1);
    const wave = noise(5, 400);
    const of = (a: number, b: number, spectrum = openPairSpectrum(window, 64)): number[][] => {
      spectrum.transform(wave, a, b);
      return spectrum.powers.map((power) => [...power]);
    };
    const start = fc.integer({ min: 0, max: 360 });
    fc.assert(
      fc.property(start, start, start, (a, b, c) => {
        const used = openPairSpectrum(window, 64);
        used.transform(wave, c, b);
        expect(of(a, b, used)).toEqual(of(a, b));
        of(a, b)[0]!.forEach((value, k) => {
          expect(value).toBeCloseTo(of(a, c)[0]![k]!, 10);
          expect(value).toBeCloseTo(of(c, a)[1]![k]!, 10);
        });
      }),
      { numRuns: 20, seed: 1 },
    );
  });
});
