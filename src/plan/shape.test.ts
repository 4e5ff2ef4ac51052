import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ModelName, models } from "../models/table.ts";
import { narrow, widthGroups } from "../network/narrow.ts";
import type { Network, NetworkInput } from "../network/network.ts";
import { networkCost, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { shaper, solveShape } from "./shape.ts";
import { shapeRecipe } from "./shapeRecipes.ts";

const image: NetworkInput = { channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] };
const clip: NetworkInput = { channels: 1, height: 49, width: 40, mean: [0], std: [1] };
const names = Object.keys(models) as ModelName[];
const build = (name: ModelName): Network => models[name].build(name.startsWith("kws") || name === "ds-cnn" ? clip : image, 10);
const vgg11 = build("vgg11");

const channels = (network: Network): number[] =>
  placeLayers(network).flatMap(({ layer, output }) => (layer.type === "conv2d" ? [output.channels] : []));
const macs = (network: Network): number => networkCost(network).macs;

describe("shapes", () => {
  it("give VGG-11 the wider early layers that measured best", () => {
    const shaped = channels(narrow(vgg11, shaper(vgg11, "recipe")(0.28)));
    const measured = [36, 48, 64, 64, 96, 96, 96, 96];
    shaped.forEach((width, i) => {
      expect(Math.abs(width / (measured[i] as number) - 1), `conv${i + 1}: ${shaped}`).toBeLessThan(0.07);
    });
  });

  it("never cost more than the same size of the uniform shape, nor much less, for any network and exponent", () => {
    const sizes = fc.integer({ min: 15, max: 99 }).map((hundredths) => hundredths / 100);
    fc.assert(
      fc.property(fc.constantFrom(...names), sizes, fc.double({ min: 0, max: 1.5, noNaN: true }), (name, size, exponent) => {
        const network = build(name);
        const budget = macs(narrow(network, size));
        const factors = solveShape(network, exponent, budget);
        const found = narrow(network, factors);
        expect(macs(found)).toBeLessThanOrEqual(budget);
        // A size near 1 can round to the target itself, which leaves no layer room.
        if (Object.values(factors).every((factor) => factor === 1)) return;
        // One channel more in every layer that has room would break the budget.
        const groups = widthGroups(network);
        const original = new Map(placeLayers(network).map(({ layer, output }) => [layer.name, output.channels]));
        const next = Object.fromEntries(
          [...groups].map(([group, members]) => {
            const full = original.get(members[0] as string) as number;
            return [group, Math.min(1, (factors[group] as number) + 1 / full)];
          }),
        );
        expect(macs(narrow(network, next))).toBeGreaterThan(budget);
      }),
      { numRuns: 40 },
    );
  });

  it("keep the proportions of a profile until a layer is as wide as the target's", () => {
    const first = solveShape(vgg11, { conv1: 30, conv2: 30 }, macs(narrow(vgg11, 0.3)));
    expect(first.conv1).toBeCloseTo(2 * (first.conv2 as number), 1);
    const flat = solveShape(vgg11, 0, macs(narrow(vgg11, 0.5)));
    expect(flat.conv1).toBe(1);
    expect(new Set(channels(narrow(vgg11, flat)).slice(2)).size).toBe(1);
  });

  it("at full size are the target itself, and grow with the size", () => {
    for (const name of names) {
      const network = build(name);
      const widths = shaper(network, 0.5);
      expect(channels(narrow(network, widths(1)))).toEqual(channels(network));
      const costs = [0.1, 0.2, 0.4, 0.8].map((size) => macs(narrow(network, widths(size))));
      expect(costs).toEqual([...costs].sort((a, b) => a - b));
    }
  });

  it("are uniform for networks without a recipe, and where asked for", () => {
    expect(shapeRecipe("my-own")).toBe(1);
    expect(shaper({ ...vgg11, name: "my-own" }, "recipe")(0.3)).toBe(0.3);
    expect(shaper(vgg11, "uniform")(0.3)).toBe(0.3);
  });

  it("give layers that are added together one width", () => {
    const resnet = build("resnet18");
    expect(() => macs(narrow(resnet, shaper(resnet, 0.3)(0.25)))).not.toThrow();
    expect(shaper(resnet, { stem_conv: 1 })(0.25)).toBeTypeOf("object");
  });

  it("refuse what does not fit the target", () => {
    for (const [choice, message] of [
      [{ conv9: 3 }, /conv9/],
      [{ conv1: 0 }, /conv1: 0/],
      [-1, /exponent/],
    ] as const) {
      expect(() => shaper(vgg11, choice)).toThrow(SheafError);
      expect(() => shaper(vgg11, choice)).toThrow(message);
    }
  });

  it("at the narrowest keep a channel in every layer", () => {
    const factors = solveShape(vgg11, 0.5, 1);
    expect(Math.min(...channels(narrow(vgg11, factors)))).toBe(1);
  });
});
