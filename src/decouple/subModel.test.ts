import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomBatch } from "../../test/support/batches.ts";
import { trainSteps } from "../../test/support/trainingLoop.ts";
import { compileTraining } from "../compile/training.ts";
import { type ModelName, models } from "../models/table.ts";
import { scaledWidth, widthGroups } from "../network/narrow.ts";
import type { Layer, Network, NetworkInput } from "../network/network.ts";
import { networkCost, outputShape, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { decouple, localLabel, type Part } from "./subModel.ts";

const input: NetworkInput = { channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] };
const target = (name: ModelName, classes = 10): Network => models[name].build(input, classes);

const convolution = { kernel: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1, bias: true } as const;

/** Every way widths depend on each other: a sum of two convolutions, a depthwise convolution, a concatenation and a flatten. */
function tangled(classes: number): Network {
  const layers: Layer[] = [
    { type: "conv2d", name: "a", inputs: ["input"], outChannels: 12, ...convolution },
    { type: "conv2d", name: "b", inputs: ["a"], outChannels: 12, ...convolution },
    { type: "add", name: "sum", inputs: ["a", "b"] },
    { type: "conv2d", name: "depthwise", inputs: ["sum"], outChannels: 12, ...convolution, groups: 12 },
    { type: "conv2d", name: "c", inputs: ["depthwise"], outChannels: 20, ...convolution },
    { type: "concat", name: "both", inputs: ["c", "depthwise"] },
    { type: "avgPool", name: "pool", inputs: ["both"], kernel: [8, 8], stride: [8, 8], padding: [0, 0], countPadding: false },
    { type: "flatten", name: "flat", inputs: ["pool"] },
    { type: "linear", name: "hidden", inputs: ["flat"], outFeatures: 24, bias: true },
    { type: "relu", name: "relu", inputs: ["hidden"] },
    { type: "linear", name: "classifier", inputs: ["relu"], outFeatures: classes, bias: true },
  ];
  return { name: "tangled", input, layers };
}

const targets: Readonly<Record<string, (classes: number) => Network>> = {
  tiny: models.tiny.build.bind(null, input),
  vgg11: models.vgg11.build.bind(null, input),
  alexnet: models.alexnet.build.bind(null, input),
  resnet18: models.resnet18.build.bind(null, input),
  "ds-cnn": models["ds-cnn"].build.bind(null, { channels: 1, height: 49, width: 40, mean: [0], std: [1] }),
  tangled,
};

const partsOf = (classes: number): fc.Arbitrary<Part[]> =>
  fc
    .array(
      fc.record({
        taskSet: fc.uniqueArray(fc.nat(classes - 1), { minLength: 1, maxLength: classes }),
        widths: fc.double({ min: 0.02, max: 1.5, noNaN: true }),
      }),
      { minLength: 1, maxLength: 5 },
    )
    .map((parts) => parts.map((part, i) => ({ device: `d${i}`, ...part })));

const outputsOf = (network: Network, name: string): number | undefined =>
  placeLayers(network).find((p) => p.layer.name === name)?.output.channels;

describe.each(Object.entries(targets))("sub-models of %s", (_name, build) => {
  it("have a head for their task set and lie side by side in the global model", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }).chain((classes) => fc.tuple(fc.constant(classes), partsOf(classes))),
        ([classes, parts]) => {
          const network = build(classes);
          const free = [...widthGroups(network).values()].flat();
          const subModels = decouple(network, parts);
          expect(subModels.map((s) => s.device)).toEqual(parts.map((p) => p.device));
          for (const [i, subModel] of subModels.entries()) {
            expect(subModel.taskSet).toEqual([...(parts[i] as Part).taskSet].sort((a, b) => a - b));
            expect(outputShape(subModel.network)).toEqual({ channels: subModel.taskSet.length + 1, height: 1, width: 1 });
            expect(networkCost(subModel.network).parameters).toBeGreaterThan(0);
            expect(Object.keys(subModel.filters).sort()).toEqual([...free].sort());
          }
          for (const layer of free) {
            let end = 0;
            for (const { filters, network: own, widths } of subModels) {
              const range = filters[layer] as readonly [number, number];
              expect(range[0]).toBe(end);
              expect(range[1] - range[0]).toBe(outputsOf(own, layer));
              expect(range[1] - range[0]).toBe(scaledWidth(outputsOf(network, layer) as number, widths as number));
              end = range[1];
            }
          }
        },
      ),
      { numRuns: 15, seed: 1 },
    );
  });
});

describe("decouple", () => {
  it("cuts VGG-11 into five parts whose filters add up by hand", () => {
    const parts = [0.25, 0.25, 0.5, 1, 0.125].map((widths, i) => ({ device: `d${i}`, taskSet: [2 * i + 1, 2 * i], widths }));
    const subModels = decouple(target("vgg11"), parts);
    // conv1 has 64 filters, conv8 512.
    expect(subModels.map((s) => s.filters.conv1)).toEqual([
      [0, 16],
      [16, 32],
      [32, 64],
      [64, 128],
      [128, 136],
    ]);
    expect(subModels.map((s) => s.filters.conv8)).toEqual([
      [0, 128],
      [128, 256],
      [256, 512],
      [512, 1024],
      [1024, 1088],
    ]);
    expect(subModels.map((s) => s.taskSet)).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
      [8, 9],
    ]);
    expect(subModels[0]?.filters.classifier).toBeUndefined();
  });

  it("takes a width per layer", () => {
    const [subModel] = decouple(target("tiny"), [{ device: "a", taskSet: [1], widths: { conv1: 0.5 } }]);
    expect(subModel?.filters).toEqual({ conv1: [0, 8], conv2: [0, 32] });
  });

  it("keeps the logit other when a task set holds every class", () => {
    const [subModel] = decouple(target("tiny", 3), [{ device: "a", taskSet: [0, 1, 2], widths: 1 }]);
    expect(outputShape((subModel as { network: Network }).network).channels).toBe(4);
  });

  it.each([
    ["no part", [], /at least one device/],
    ["an unknown class", [{ device: "a", taskSet: [0, 10], widths: 1 }], /class 10.*0 to 9/],
    ["a class id that is not whole", [{ device: "a", taskSet: [0.5], widths: 1 }], /class 0.5/],
    ["an empty task set", [{ device: "a", taskSet: [], widths: 1 }], /"a" has an empty task set/],
    ["a class listed twice", [{ device: "a", taskSet: [3, 3], widths: 1 }], /"a" lists a class twice \(3, 3\)/],
    [
      "a device listed twice",
      [
        { device: "a", taskSet: [1], widths: 1 },
        { device: "a", taskSet: [2], widths: 1 },
      ],
      /"a" is listed twice/,
    ],
    ["a width of zero", [{ device: "a", taskSet: [1], widths: 0 }], /must be positive, got 0/],
    ["a width for no layer", [{ device: "a", taskSet: [1], widths: { nothing: 0.5 } }], /No layer "nothing"/],
  ])("refuses %s", (_what, parts: readonly Part[], message) => {
    const attempt = (): unknown => decouple(target("vgg11"), parts);
    expect(attempt).toThrow(SheafError);
    expect(attempt).toThrow(message);
  });
});

describe("a sub-model of ds-cnn", () => {
  const clip: NetworkInput = { channels: 1, height: 49, width: 40, mean: [0], std: [1] };
  const [subModel] = decouple(models["ds-cnn"].build(clip, 12), [{ device: "a", taskSet: [7, 2, 4], widths: 0.1 }]);
  const network = (subModel as { network: Network }).network;

  it("is as wide in its depthwise layers as in those before them", () => {
    for (const layer of network.layers) {
      if (layer.type !== "conv2d") continue;
      expect([layer.outChannels, layer.groups], layer.name).toEqual([17, layer.name.endsWith("depthwise") ? 17 : 1]);
    }
    expect(subModel?.filters.block1_depthwise).toBeUndefined();
    expect(subModel?.filters.block1_pointwise).toEqual([0, 17]);
  });

  it("learns its own classes and other", async () => {
    const optimizer = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0 } as const;
    const program = compileTraining(network, { batchSize: 8, optimizer });
    const { losses, outputs } = await trainSteps(program, 25, () => randomBatch(program, 1, 0.1));
    expect(outputs.get("logits")?.shape).toEqual([4, 8]);
    expect(losses.at(-1)).toBeLessThan(0.5 * (losses[0] as number));
  });
});

describe("localLabel", () => {
  it("is the place in the task set, or the last label", () => {
    expect([1, 4, 7, 0, 9].map((id) => localLabel([1, 4, 7], id))).toEqual([0, 1, 2, 3, 3]);
  });
});
