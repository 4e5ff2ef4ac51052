import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type NamedPart, partsOf } from "./parts.ts";

const options = { testShare: 0.25, seed: 1 };
const labelled = fc.array(fc.tuple(fc.nat(3), fc.constantFrom<NamedPart>("train", "validation", "test", undefined)), {
  minLength: 8,
  maxLength: 80,
});

describe("partsOf", () => {
  test("parts are disjoint and complete, and named samples stay where they are named", () => {
    fc.assert(
      fc.property(labelled, fc.integer(), (samples, seed) => {
        const names = samples.map(([, name]) => name);
        const training = names.filter((name) => (name ?? "train") === "train").length;
        fc.pre(names.includes("test") ? training > 0 : training >= 4);
        const {
          train,
          validation,
          test: held,
          isDrawn,
        } = partsOf(
          Uint16Array.from(samples, ([label]) => label),
          4,
          names,
          { testShare: 0.25, seed },
        );
        expect([...train, ...validation, ...held].sort((a, b) => a - b)).toEqual(samples.map((_, i) => i));
        for (const i of validation) expect(names[i]).toBe("validation");
        for (const i of train) expect(names[i] ?? "train").toBe("train");
        expect(isDrawn).toBe(!names.includes("test"));
        if (!isDrawn) for (const i of held) expect(names[i]).toBe("test");
        for (const part of [train, validation, held]) expect([...part]).toEqual([...part].sort((a, b) => a - b));
      }),
    );
  });

  test("a drawn test part has the proportions of the classes, and is another one for another seed", () => {
    const labels = Uint16Array.from({ length: 120 }, (_, i) => (i < 80 ? 0 : 1));
    const { test: held } = partsOf(labels, 2, Array(120).fill(undefined), options);
    expect([...held].filter((i) => labels[i] === 0)).toHaveLength(20);
    expect([...held].filter((i) => labels[i] === 1)).toHaveLength(10);
    expect(partsOf(labels, 2, Array(120).fill(undefined), options).test).toEqual(held);
    expect(partsOf(labels, 2, Array(120).fill(undefined), { ...options, seed: 2 }).test).not.toEqual(held);
  });

  test("refuses shares and names that leave a part empty", () => {
    const labels = new Uint16Array(4);
    for (const testShare of [0, 1, -0.1, 0.01, 0.99, Number.NaN]) {
      expect(() => partsOf(labels, 1, [], { testShare, seed: 0 })).toThrow(/data\.testShare must lie between 0 and 1/);
    }
    expect(() => partsOf(labels, 1, ["test", "test", "validation", "test"], options)).toThrow(/expected some for training/);
  });
});
