import { describe, expect, it } from "vitest";
import { models } from "../models/table.ts";
import type { NetworkInput } from "../network/network.ts";
import { networkCost } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { candidateProfile, defaultCandidates, type ShapeCandidate, shapeCandidates } from "./shapeCandidates.ts";

const image: NetworkInput = { channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] };
const vgg11 = models.vgg11.build(image, 10);
const tiny = models.tiny.build(image, 10);
const named = (names: readonly string[], target = vgg11): (readonly [string, ReturnType<typeof candidateProfile>])[] =>
  names.map((name) => [name, candidateProfile(name, target)] as const);

describe("candidates of a shape search", () => {
  it("fit the budget and nearly fill it", () => {
    const candidates = shapeCandidates(vgg11, named(defaultCandidates), 11.8);
    expect(candidates).toHaveLength(9);
    for (const { macs, ratio, network, parameters } of candidates) {
      expect(ratio).toBeGreaterThanOrEqual(11.8);
      expect(ratio).toBeLessThan(12.4);
      expect(networkCost(network)).toMatchObject({ macs, parameters });
    }
    const conv1 = candidates.map(({ channels }) => channels.conv1);
    // The lower the exponent, the wider the first layer.
    expect(conv1[0]).toBe(18);
    expect(conv1[8]).toBeGreaterThan(40);
    expect(candidates[0]?.channels).toMatchObject({ conv1: 18, conv8: 147, classifier: 10 });
  });

  it("that come to the same widths are one", () => {
    const names = (candidates: readonly ShapeCandidate[]): unknown => candidates.map((candidate) => candidate.names);
    // The tiny network's recipe is the uniform shape.
    expect(names(shapeCandidates(tiny, named(["uniform", "recipe", "1", "0"], tiny), 4))).toEqual([["uniform", "recipe", "1"], ["0"]]);
    expect(names(shapeCandidates(tiny, named(["0.5", "0.5"], tiny), 4))).toEqual([["0.5"]]);
  });

  it("may be profiles of one's own", () => {
    const [found] = shapeCandidates(vgg11, [["configured", { conv1: 30, conv2: 30 }]], 11.8);
    expect(found?.names).toEqual(["configured"]);
    expect(found?.channels.conv1).toBe(found?.channels.conv2);
  });

  it("are refused where they have no meaning or no room", () => {
    for (const name of ["wide", "", "-1", "2.5", "NaN"]) {
      expect(() => candidateProfile(name, vgg11)).toThrow(SheafError);
      expect(() => candidateProfile(name, vgg11)).toThrow(`A shape is "uniform", "recipe" or an exponent from 0 to 2, got "${name}".`);
    }
    for (const ratio of [0.9, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => shapeCandidates(vgg11, named(["uniform"]), ratio)).toThrow(/must be at least 1, got/);
    }
    expect(() => shapeCandidates(tiny, named(["uniform"], tiny), 1e4)).toThrow(
      /^No shape of "tiny" computes 10000x less: with one channel/,
    );
  });
});
