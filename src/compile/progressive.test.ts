import { describe, expect, it } from "vitest";
import { chain, convolution, halvingPool } from "../models/chain.ts";
import { type ModelName, models } from "../models/table.ts";
import type { Network, NetworkInput } from "../network/network.ts";
import { networkCost, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { checkProgressive, shrunk, smallEpochs } from "./progressive.ts";

const image: NetworkInput = { channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] };
const parameters = (network: Network): unknown =>
  placeLayers(network).flatMap(({ layer, parameters }) => parameters.map(({ name, shape }) => [layer.name, name, shape]));

describe("a network for smaller images", () => {
  it.each(["alexnet", "vgg11", "vgg13", "vgg16", "resnet18", "tiny"] satisfies ModelName[])(
    "has the parameters of the whole one and costs less: %s at 16x16, 20x20 and 24x24",
    (name) => {
      const whole = models[name].build(image, 10);
      for (const [scale, side] of [
        [0.5, 16],
        [0.625, 20],
        [0.75, 24],
      ] as const) {
        const small = shrunk(whole, scale);
        expect([small.input.height, small.input.width]).toEqual([side, side]);
        expect(parameters(small)).toEqual(parameters(whole));
        expect(networkCost(small).macs).toBeLessThan(networkCost(whole).macs);
      }
    },
  );

  it("is what the model itself is on images of that size", () => {
    const half = { ...image, height: 16, width: 16 };
    const standsFor = (network: Network): unknown => placeLayers(network).map(({ layer: { name, type }, output }) => [name, type, output]);
    for (const name of ["vgg11", "resnet18", "tiny"] as const) {
      expect(standsFor(shrunk(models[name].build(image, 10), 0.5))).toEqual(standsFor(models[name].build(half, 10)));
    }
    // A quarter of the MACs where no pixel is lost at the border.
    const { macs } = networkCost(models.tiny.build(image, 10));
    expect(networkCost(shrunk(models.tiny.build(image, 10), 0.5)).macs).toBe((macs - 320) / 4 + 320);
  });

  it("is refused where flattened pixels would be fewer, or a window does not fit", () => {
    const net = chain(image);
    net.push("conv2d", "conv1", convolution(4, 3, { padding: [1, 1] }));
    net.push("maxPool", "pool1", halvingPool);
    net.push("flatten", "flatten", {});
    net.push("linear", "classifier", { outFeatures: 10, bias: true });
    expect(() => shrunk(net.network("flat"), 0.5)).toThrow(SheafError);
    expect(() => shrunk(net.network("flat"), 0.5)).toThrow(
      'training.progressive.scale is 0.5, but network "flat" cannot be trained on images of 16x16 instead of 32x32: classifier.weight would be [10, 256] instead of [10, 1024]; choose a larger scale, a network that ends in a global average, or leave training.progressive out.',
    );
    const large = chain(image);
    large.push("conv2d", "conv1", convolution(4, 17));
    large.push("globalAvgPool", "pool", {});
    large.push("linear", "classifier", { outFeatures: 10, bias: true });
    expect(() => shrunk(large.network("large"), 0.5)).toThrow(/17x17 window does not fit its 16x16 input/);
  });
});

describe("epochs on smaller images", () => {
  it("are a whole number, and never the last", () => {
    expect(smallEpochs(undefined, 10)).toBe(0);
    expect([10, 5, 2, 1].map((epochs) => smallEpochs({ scale: 0.5, epochs: 0.3 }, epochs))).toEqual([3, 2, 1, 0]);
    expect([10, 2, 1].map((epochs) => smallEpochs({ scale: 0.5, epochs: 0.99 }, epochs))).toEqual([9, 1, 0]);
  });

  it("need a scale and a share between 0 and 1", () => {
    for (const [name, value] of [
      ["scale", 0],
      ["scale", 1],
      ["epochs", 1.5],
      ["epochs", Number.NaN],
    ] as const) {
      const given = { scale: 0.5, epochs: 0.3, [name]: value };
      expect(() => checkProgressive(given)).toThrow(`progressive.${name} must lie between 0 and 1, got ${value}.`);
    }
  });
});
