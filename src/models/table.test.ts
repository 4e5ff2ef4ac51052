import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { networkCost, outputShape, placeLayers } from "../network/shapes.ts";
import { buildModel, type ModelName, models } from "./table.ts";

const input = { channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] };

describe("stated costs on 32x32x3 and 10 classes", () => {
  const stated: Readonly<Record<Exclude<ModelName, "tiny">, readonly [millionMacs: number, millionParameters: number]>> = {
    alexnet: [15.0, 2.47],
    vgg11: [152.8, 9.23],
    vgg13: [228.3, 9.42],
    vgg16: [313.2, 14.73],
    resnet18: [555.4, 11.17],
  };
  for (const [name, [macs, parameters]] of Object.entries(stated)) {
    it(name, () => {
      const cost = networkCost(buildModel(name, input, 10));
      expect(Math.round(cost.macs / 1e5) / 10).toBe(macs);
      // VGG's stated figures count a bias per channel, which batch norm makes idle and which is left out here: under 0.1 %.
      expect(Math.abs(cost.parameters / 1e6 - parameters)).toBeLessThan(parameters * 1e-3);
    });
  }
});

describe("widths", () => {
  it("scale every model to a valid network with the same number of logits", () => {
    const names = Object.keys(models);
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.double({ min: 0.01, max: 1.5, noNaN: true }),
        fc.integer({ min: 1, max: 101 }),
        (name, width, classes) => {
          const network = buildModel(name, input, classes, width);
          expect(outputShape(network)).toEqual({ channels: classes, height: 1, width: 1 });
        },
      ),
      { numRuns: 60 },
    );
  });

  it("may differ per layer", () => {
    const network = buildModel("vgg11", input, 10, { conv1: 0.5, conv8: 0.25 });
    const channels = Object.fromEntries(placeLayers(network).map((p) => [p.layer.name, p.output.channels]));
    expect([channels.conv1, channels.conv2, channels.conv8, channels.classifier]).toEqual([32, 128, 128, 10]);
  });

  it("keep residual sums together", () => {
    const network = buildModel("resnet18", input, 10, { stage1_block1_b_conv: 0.5 });
    const channels = Object.fromEntries(placeLayers(network).map((p) => [p.layer.name, p.output.channels]));
    expect([channels.stem_conv, channels.stage1_block1_b_conv, channels.stage1_block2_b_conv, channels.stage1_block1_a_conv]).toEqual([
      32, 32, 32, 64,
    ]);
  });

  it("refuse what has no width", () => {
    expect(() => buildModel("vgg11", input, 10, { conv99: 0.5 })).toThrow(/No layer "conv99".*conv1/s);
    expect(() => buildModel("vgg11", input, 10, 0)).toThrow(/positive/);
    expect(() => buildModel("lenet", input, 10)).toThrow(/Unknown network "lenet"; known networks are alexnet/);
  });
});
