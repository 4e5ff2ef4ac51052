import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBranches, encodeBranches } from "./branchList.ts";
import { branch } from "./messages.fixture.ts";

const branches = fc.array(branch, { minLength: 1, maxLength: 4 });
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe("a list of branches", () => {
  it("reads back as it was, and is the same bytes for the same branches", () => {
    fc.assert(
      fc.property(branches, (list) => {
        const bytes = encodeBranches(list);
        expect(decodeBranches(bytes, "the list")).toEqual(list);
        expect(encodeBranches(structuredClone(list))).toEqual(bytes);
      }),
      { numRuns: 40 },
    );
  });

  it("has a network that branches share once", () => {
    fc.assert(
      fc.property(branch, (one) => {
        const list = Array.from({ length: 20 }, (_, i) => ({ ...one, device: `d${i}`, network: structuredClone(one.network) }));
        expect(JSON.parse(textOf(encodeBranches(list))).networks).toHaveLength(1);
      }),
      { numRuns: 10 },
    );
  });

  it.each([
    ["no JSON", "{"],
    ["another value", "7"],
    ["no branches", '{"networks":[],"branches":[]}'],
    ["no UTF-8", "\u0000"],
  ])("is refused where it is %s", (_, text) => {
    expect(() => decodeBranches(new TextEncoder().encode(text), "the list")).toThrow(/^the list is no/);
  });

  it("is refused where a branch names a network that is not there, or anything is amiss in it", () => {
    fc.assert(
      fc.property(branches, fc.constantFrom("network", "device", "parameters", "taskSet", "parameterBytes"), (list, key) => {
        const value = JSON.parse(textOf(encodeBranches(list)));
        value.branches[0][key] = key === "network" ? list.length : key === "taskSet" ? [2, 1] : "../x";
        expect(() => decodeBranches(new TextEncoder().encode(JSON.stringify(value)), "the list")).toThrow(/^the list is no list/);
      }),
      { numRuns: 40 },
    );
  });
});
