import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openShrink } from "./shrink.ts";

describe("openShrink", () => {
  it("averages 2x2 pixels of every channel and sample", () => {
    // One channel, 2x4 pixels, two samples: the second is ten times the first.
    const whole = Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8].flatMap((v) => [v, 10 * v]));
    const small = new Float32Array(4);
    openShrink({ channels: 1, height: 2, width: 4 }, { height: 1, width: 2 }, 2)(small, whole);
    expect([...small]).toEqual([3.5, 35, 5.5, 55]);
  });

  it("shares out pixels that lie under two", () => {
    const small = new Float32Array(2);
    openShrink({ channels: 1, height: 1, width: 3 }, { height: 1, width: 2 }, 1)(small, Float32Array.of(3, 6, 9));
    // (3 + 6/2) / 1.5 and (6/2 + 9) / 1.5.
    expect(small[0]).toBeCloseTo(4, 5);
    expect(small[1]).toBeCloseTo(8, 5);
  });

  it("keeps the mean and what is the same everywhere, for any sizes", () => {
    const size = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(size, size, size, size, fc.integer({ min: 1, max: 3 }), (height, width, h, w, count) => {
        const to = { height: Math.min(h, height), width: Math.min(w, width) };
        const values = Float32Array.from({ length: 2 * height * width * count }, (_, i) => ((i * 7919) % 251) - 90);
        const small = new Float32Array(2 * to.height * to.width * count);
        const shrink = openShrink({ channels: 2, height, width }, to, count);
        shrink(small, values);
        const mean = (array: Float32Array, c: number, n: number): number => {
          const plane = [...array].filter((_, i) => i % count === n && Math.floor(i / (array.length / 2)) === c);
          return plane.reduce((sum, v) => sum + v, 0) / plane.length;
        };
        for (let c = 0; c < 2; c++) for (let n = 0; n < count; n++) expect(mean(small, c, n)).toBeCloseTo(mean(values, c, n), 3);
        shrink(small, new Float32Array(values.length).fill(7));
        for (const value of small) expect(value).toBeCloseTo(7, 4);
      }),
      { numRuns: 60 },
    );
  });

  it("of the same size copies", () => {
    const values = Float32Array.of(1, 2, 3, 4, 5, 6);
    const copy = new Float32Array(6);
    openShrink({ channels: 1, height: 3, width: 2 }, { height: 3, width: 2 }, 1)(copy, values);
    expect(copy).toEqual(values);
  });
});
