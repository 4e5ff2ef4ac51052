import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Random } from "../util/random.ts";
import { random } from "../util/random.ts";
import { checkAugmentation, fillBatch, fillBatchNchw } from "./augment.ts";
import type { Dataset, SampleShape } from "./dataset.ts";
import { sampleSize } from "./dataset.ts";
import { openMemorySamples } from "./samples.ts";

function dataset(shape: SampleShape, pixels: ArrayLike<number>): Dataset {
  const count = pixels.length / sampleSize(shape);
  return {
    name: "small",
    classNames: ["a"],
    shape,
    labels: new Uint16Array(count),
    store: { type: "memory", values: Uint8Array.from(pixels) },
    mean: Array.from({ length: shape.channels }, (_, c) => 100 + c),
    std: Array.from({ length: shape.channels }, (_, c) => 50 + c),
    provenance: { source: "made up", sha256: "0" },
  };
}

/** Gives out the scripted whole numbers for `below`, whatever the limit, and fails when they run out. */
function scripted(values: number[]): Random {
  const next = (): number => {
    const value = values.shift();
    if (value === undefined) throw new Error("more draws than scripted");
    return value;
  };
  return { int32: next, uniform: next, normal: next, below: next };
}

const shape = { channels: 1, height: 3, width: 3 };
const digits = dataset(shape, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
const opened = openMemorySamples(digits);

function one(augmentation: Parameters<typeof fillBatch>[3], ...draws: number[]): number[] {
  const into = new Float32Array(9).fill(-1);
  fillBatch(into, opened, [0], augmentation, scripted(draws));
  return [...into];
}

describe("fillBatch", () => {
  test("draws nothing and changes nothing without augmentation", () => {
    expect(one(undefined)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(one({ crop: 0, flip: false, cutout: 0 })).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("crop shifts by the drawn place and pads with zeros", () => {
    const crop = { crop: 1, flip: false, cutout: 0 };
    expect(one(crop, 1, 1)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(one(crop, 0, 0)).toEqual([0, 0, 0, 0, 1, 2, 0, 4, 5]);
    expect(one(crop, 2, 0)).toEqual([0, 4, 5, 0, 7, 8, 0, 0, 0]);
    expect(one(crop, 1, 2)).toEqual([2, 3, 0, 5, 6, 0, 8, 9, 0]);
  });

  test("flip mirrors, after the crop", () => {
    expect(one({ crop: 0, flip: true, cutout: 0 }, 0)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(one({ crop: 0, flip: true, cutout: 0 }, 1)).toEqual([3, 2, 1, 6, 5, 4, 9, 8, 7]);
    expect(one({ crop: 1, flip: true, cutout: 0 }, 1, 2, 1)).toEqual([0, 3, 2, 0, 6, 5, 0, 9, 8]);
    expect(one({ crop: 1, flip: true, cutout: 0 }, 1, 0, 1)).toEqual([2, 1, 0, 5, 4, 0, 8, 7, 0]);
  });

  test("a crop as wide as the image can empty it", () => {
    expect(one({ crop: 3, flip: true, cutout: 0 }, 3, 6, 0)).toEqual(new Array(9).fill(0));
    expect(one({ crop: 3, flip: true, cutout: 0 }, 0, 3, 1)).toEqual(new Array(9).fill(0));
  });

  test("cutout empties a square about its centre, clipped by the image", () => {
    expect(one({ crop: 0, flip: false, cutout: 3 }, 0, 0)).toEqual([0, 0, 3, 0, 0, 6, 7, 8, 9]);
    expect(one({ crop: 0, flip: false, cutout: 2 }, 1, 1)).toEqual([0, 0, 3, 0, 0, 6, 7, 8, 9]);
    expect(one({ crop: 0, flip: false, cutout: 1 }, 2, 1)).toEqual([1, 2, 3, 4, 5, 6, 7, 0, 9]);
  });

  test("samples have changes of their own, in the order row, column, flip", () => {
    const into = new Float32Array(18);
    fillBatch(into, opened, [0, 0], { crop: 1, flip: true, cutout: 0 }, scripted([1, 1, 1, 1, 2, 0]));
    expect([...into].filter((_, i) => i % 2 === 0)).toEqual([3, 2, 1, 6, 5, 4, 9, 8, 7]);
    expect([...into].filter((_, i) => i % 2 === 1)).toEqual([2, 3, 0, 5, 6, 0, 8, 9, 0]);
  });

  test("normalises every pixel, empty ones included", () => {
    const into = new Float32Array(9);
    fillBatch(into, opened, [0], { crop: 1, flip: false, cutout: 0 }, scripted([0, 0]), digits);
    expect(into[0]).toBeCloseTo(-2, 6);
    expect(into[4]).toBeCloseTo((1 - 100) / 50, 6);
  });

  test("refuses a wrong size and a missing sample", () => {
    expect(() => fillBatch(new Float32Array(10), opened, [0], undefined, random(0))).toThrow(/needs 9 values, got an array of 10/);
    expect(() => fillBatch(new Float32Array(9), opened, [1], undefined, random(0))).toThrow(/sample 1/);
  });
});

const anyBatch = fc
  .record({ channels: fc.integer({ min: 1, max: 3 }), height: fc.integer({ min: 1, max: 6 }), width: fc.integer({ min: 1, max: 6 }) })
  .chain((drawn) =>
    fc.record({
      set: fc.uint8Array({ minLength: 4 * sampleSize(drawn), maxLength: 4 * sampleSize(drawn) }).map((pixels) => dataset(drawn, pixels)),
      indices: fc.array(fc.nat(3), { minLength: 1, maxLength: 7 }),
    }),
  );

test("both orders hold the same values", () => {
  fc.assert(
    fc.property(anyBatch, fc.boolean(), ({ set, indices }, normalise) => {
      const size = sampleSize(set.shape);
      const count = indices.length;
      const innermost = new Float32Array(count * size);
      const outermost = new Float32Array(count * size);
      fillBatch(innermost, openMemorySamples(set), indices, undefined, random(0), normalise ? set : undefined);
      fillBatchNchw(outermost, openMemorySamples(set), indices, normalise ? set : undefined);
      for (let n = 0; n < count; n++) {
        for (let i = 0; i < size; i++) expect(innermost[i * count + n]).toBe(outermost[n * size + i]);
      }
    }),
  );
});

test("equal streams give equal batches, in one call or one sample at a time", () => {
  fc.assert(
    fc.property(anyBatch, fc.integer(), ({ set, indices }, seed) => {
      const augmentation = { crop: 1, flip: true, cutout: 2 };
      const size = sampleSize(set.shape);
      const whole = new Float32Array(indices.length * size);
      fillBatch(whole, openMemorySamples(set), indices, augmentation, random(seed));
      const stream = random(seed);
      indices.forEach((index, n) => {
        const single = new Float32Array(size);
        fillBatch(single, openMemorySamples(set), [index], augmentation, stream);
        for (let i = 0; i < size; i++) expect(whole[i * indices.length + n]).toBe(single[i]);
      });
    }),
  );
});

test("checkAugmentation refuses fractions, negatives and crops beyond the image", () => {
  expect(() => checkAugmentation({ crop: 4, flip: true, cutout: 0 }, digits)).toThrow(
    /crop must be a whole number of pixels from 0 to 3, got 4/,
  );
  expect(() => checkAugmentation({ crop: 0.5, flip: true, cutout: 0 }, digits)).toThrow(/crop/);
  expect(() => checkAugmentation({ crop: 0, flip: true, cutout: -1 }, digits)).toThrow(/cutout/);
  expect(() => checkAugmentation({ crop: 3, flip: true, cutout: 8 }, digits)).not.toThrow();
});
