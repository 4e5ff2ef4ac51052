import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byClass } from "../data/partition/byClass.ts";
import { countSamples } from "./samples.ts";

describe("countSamples", () => {
  it("counts by hand", () => {
    // Class 1 has two owners: 21 samples are dealt out as 10 and 11, the odd one by the class's turn.
    const sets = [[0, 1], [1]];
    expect(countSamples(sets, [10, 21, 40], "share", 0.25)).toEqual([
      { own: 31, background: 10 },
      { own: 21, background: 13 },
    ]);
    expect(countSamples(sets, [10, 21, 40], "split", 0.25)).toEqual([
      { own: 21, background: 10 },
      { own: 10, background: 13 },
    ]);
  });

  it("agrees with the partition itself", () => {
    const counts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 });
    const setsFor = (classes: number): fc.Arbitrary<number[][]> =>
      fc.array(fc.uniqueArray(fc.nat(classes - 1), { minLength: 1, maxLength: classes }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        counts.chain((c) => fc.tuple(fc.constant(c), setsFor(c.length))),
        fc.constantFrom("split" as const, "share" as const),
        fc.double({ min: 0, max: 1, noNaN: true }),
        ([classCounts, sets], overlap, rho) => {
          const labels = Uint16Array.from(classCounts.flatMap((count, id) => Array<number>(count).fill(id)));
          const dealt = byClass(labels, classCounts.length, { classesOf: sets, overlap, backgroundShare: rho }, 1);
          expect(countSamples(sets, classCounts, overlap, rho)).toEqual(
            sets.map((_, i) => ({ own: dealt.own[i]?.length, background: dealt.background[i]?.length })),
          );
        },
      ),
      { seed: 1 },
    );
  });
});
