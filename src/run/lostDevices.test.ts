import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { floats } from "../util/tensor.ts";
import { LostTally, lostSetsOf } from "./lostDevices.ts";

describe("sets of lost devices", () => {
  it("are every single device, then distinct larger sets up to half, the same for the same seed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 3 }), fc.nat(9), (count, sets, seed) => {
        const devices = Array.from({ length: count }, (_, i) => `d${i}`);
        const lost = lostSetsOf(devices, sets, seed);
        expect(lost.slice(0, count)).toEqual(devices.map((id) => [id]));
        expect(new Set(lost.map((set) => set.join(" "))).size).toBe(lost.length);
        for (const set of lost) {
          expect(new Set(set).size).toBe(set.length);
          expect(set).toEqual(devices.filter((id) => set.includes(id)));
          expect(set.length).toBeLessThanOrEqual(Math.max(1, Math.floor(count / 2)));
        }
        const sizes = [...new Set(lost.map((set) => set.length))];
        if (count >= 4) expect(sizes.at(-1)).toBe(Math.floor(count / 2));
        for (const size of sizes.slice(1)) expect(lost.filter((set) => set.length === size).length).toBeLessThanOrEqual(sets);
        expect(lostSetsOf(devices, sets, seed)).toEqual(lost);
      }),
      { seed: 1 },
    );
  });

  it("are none for one device, or when switched off", () => {
    expect(lostSetsOf(["a"], 3, 0)).toEqual([]);
    expect(lostSetsOf(["a", "b", "c"], 0, 0)).toEqual([]);
  });
});

it("counts right answers of each head over all batches", () => {
  const head = {
    type: "H0",
    on: "logProbabilities",
    weight: floats("float32", [2, 1], [0, 0]),
    bias: floats("float32", [2], [0, 0]),
  } as const;
  const tally = new LostTally([["a"], ["b"]], new Map(["lost0.H0", "lost0.H2", "lost1.H0", "lost1.H2"].map((name) => [name, head])));
  const logits = (...rows: readonly (readonly [number, number])[]) => floats("float32", [rows.length, 2], rows.flat());
  tally.add(
    {
      "lost0.H0": logits([1, 0], [0, 1], [1, 0]),
      "lost0.H2": logits([1, 0], [1, 0], [0, 1]),
      "lost1.H0": logits([0, 1], [1, 0], [0, 1]),
      "lost1.H2": logits([1, 0], [0, 1], [0, 1]),
    },
    [0, 1, 0],
  );
  tally.add({ "lost0.H0": logits([0, 1]), "lost0.H2": logits([0, 1]), "lost1.H0": logits([1, 0]), "lost1.H2": logits([1, 0]) }, [1]);
  expect(tally.accuracies()).toEqual([
    { devices: ["a"], H0: 1, H2: 0.5 },
    { devices: ["b"], H0: 0, H2: 0.5 },
  ]);
});
