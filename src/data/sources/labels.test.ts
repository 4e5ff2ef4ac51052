import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nameLabels, splitOf } from "./labels.ts";

const context = { title: "list", where: (i: number): string => `row ${i}` };

describe("nameLabels", () => {
  test("gives equal labels one class and different labels different ones, in an order that does not depend on the rows", () => {
    const label = fc.oneof(
      fc.nat({ max: 9 }),
      fc.constantFrom("a", "B", "__proto__", "constructor", "12345678901234567890", "12345678901234567891"),
    );
    fc.assert(
      fc.property(fc.array(label, { minLength: 2, maxLength: 30 }), (values) => {
        fc.pre(new Set(values).size > 1);
        const { classNames, labels } = nameLabels(values, context);
        expect([...labels].map((index) => classNames[index])).toEqual(values.map(String));
        expect(new Set(classNames).size).toBe(classNames.length);
        expect(nameLabels([...values].reverse(), context).classNames).toEqual(classNames);
      }),
    );
  });

  test("orders numbers by size, and takes 7 and 07 for one", () => {
    expect(nameLabels(["10", "7", "07"], context)).toEqual({ classNames: ["7", "10"], labels: Uint16Array.of(1, 0, 0) });
  });

  test("looks numbers up among names, leaves names without samples out, and prefers names that look like numbers", () => {
    const names = ["zero", "one", "two"];
    expect(nameLabels([2, 0, 2], context, names)).toEqual({ classNames: ["zero", "two"], labels: Uint16Array.of(1, 0, 1) });
    expect(nameLabels(["0", "1"], context, ["1", "0"])).toEqual({ classNames: ["1", "0"], labels: Uint16Array.of(1, 0) });
  });

  test("refuses more classes than a label can name", () => {
    const values = Array.from({ length: 65536 }, (_, i) => i);
    expect(() => nameLabels(values, context)).toThrow(/65536 different labels; expected at most 65535/);
    expect(nameLabels(values.slice(1), context).classNames).toHaveLength(65535);
  });
});

test("parts are told in any case, and other names are none", () => {
  expect(["train", "TEST", "Val", "valid", "validation", "dev", "constructor"].map(splitOf)).toEqual([
    ...["train", "test", "validation", "validation", "validation", undefined, undefined],
  ]);
});
