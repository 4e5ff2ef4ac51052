import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SheafError } from "./errors.ts";
import { canonicalJson } from "./json.ts";

/** The same value with the keys of every object in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversed(item)]),
  );
}

describe("canonicalJson", () => {
  it("sorts keys at every depth and leaves undefined properties out", () => {
    expect(canonicalJson({ b: { d: 1e21, c: -0 }, a: [{ z: null, y: "é\n" }], e: undefined })).toBe(
      '{"a":[{"y":"é\\n","z":null}],"b":{"c":0,"d":1e+21}}',
    );
  });

  it("does not depend on the order of keys and reads back as the same value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(reversed(value))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it.each([
    ["NaN", { loss: [1, Number.NaN] }, "$.loss[1]"],
    ["an infinity", Number.POSITIVE_INFINITY, "$"],
    ["a bigint", { n: 1n }, "$.n"],
    ["undefined in an array", [undefined], "$[0]"],
    ["a typed array", { w: new Float32Array(2) }, "$.w"],
    ["a Map", new Map(), "$"],
  ])("refuses %s and says where", (_, value, place) => {
    expect(() => canonicalJson(value)).toThrow(SheafError);
    expect(() => canonicalJson(value)).toThrow(`Canonical JSON of ${place} needs`);
  });
});
