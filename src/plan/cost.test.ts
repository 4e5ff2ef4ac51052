import { describe, expect, it } from "vitest";
import type { Network } from "../network/network.ts";
import { networkCost } from "../network/shapes.ts";
import { branchCost, epochMacs, expectedCost, fleetCost, runtimeBaseBytes, trainingMacs, type Workload } from "./cost.ts";
import type { DeviceProfile } from "./device.ts";

/** 1x4x4 in; 2 filters of 3x3 without bias (18 weights, 4 * 4 * 2 * 9 = 288 MACs), then a linear layer 2 -> 3 (9 parameters, 6 MACs). */
const network: Network = {
  name: "small",
  input: { channels: 1, height: 4, width: 4, mean: [0], std: [1] },
  layers: [
    {
      type: "conv2d",
      name: "conv",
      inputs: ["input"],
      outChannels: 2,
      kernel: [3, 3],
      stride: [1, 1],
      padding: [1, 1],
      dilation: [1, 1],
      groups: 1,
      bias: false,
    },
    { type: "globalAvgPool", name: "pool", inputs: ["conv"] },
    { type: "linear", name: "classifier", inputs: ["pool"], outFeatures: 3, bias: true },
  ],
};

const workload: Workload = { ownSamples: 10, backgroundSamples: 5, epochs: 2, batchSize: 5, targetMacs: 1000, classCount: 4 };
const profile: DeviceProfile = { name: "slow", macsPerSecond: 1000, memoryBytes: 1e9, bandwidthBitsPerSecond: 800, watts: 2 };

describe("branchCost", () => {
  it("counts by hand", () => {
    expect(branchCost(network)).toMatchObject({
      macs: 294,
      parameters: 27,
      weightBytes: 108,
      stateElements: 0,
      features: 2,
      logits: 3,
      inputElements: 16,
      // Outputs of 32, 2 and 3 floats.
      activationBytes: 148,
      trainingBytes: networkCost(network).trainingBytes,
    });
  });
});

describe("expectedCost", () => {
  const branch = branchCost(network);

  it("charges training alone where there is no statistics pass", () => {
    const expected = expectedCost(branch, workload, profile, undefined);
    // 3 forwards x 294 MACs x 2 epochs = 1764 a sample.
    expect(expected.compute).toEqual({ own: 17_640, background: 8_820, statistics: 0, settle: 0, warmStart: 0, total: 26_460 });
    expect(expected.fullTargetMacs).toBe(60_000);
    expect(expected.ratio).toBeCloseTo(60_000 / 26_460, 12);
    expect([expected.bytesDown, expected.bytesUp]).toEqual([108, 108]);
    // 26.46 s of computation, 216 bytes at 100 bytes a second.
    expect(expected.seconds).toBeCloseTo(28.62, 10);
    expect(expected.energyJoules).toBeCloseTo(57.24, 10);
    // Pixels of 15 samples; seven copies of 27 parameters; a batch of 5 with its pixels as floats.
    expect(expected.memoryBytes).toBe(runtimeBaseBytes + 15 * 16 + 4 * 7 * 27 + 5 * (branch.trainingBytes + 64));
  });

  it("charges a sub-model for its own epochs, and the target for the target's", () => {
    const longer = expectedCost(branch, { ...workload, epochs: 6, targetEpochs: 2 }, profile, undefined);
    const plain = expectedCost(branch, workload, profile, undefined);
    expect(longer.compute.total).toBe(3 * plain.compute.total);
    expect(longer.fullTargetMacs).toBe(plain.fullTargetMacs);
    expect(longer.ratio).toBeCloseTo(plain.ratio / 3, 12);
  });

  it("charges the statistics pass over all branches", () => {
    const fleet = fleetCost([branch, branch]);
    expect(fleet).toEqual({ macs: 588, weightBytes: 216, features: 4, logits: 6, activationBytes: 148 });
    const expected = expectedCost(branch, workload, profile, fleet);
    // A sample: both branches 588, products and class sums 4 * (4 + 4) + 6 * (6 + 4) = 92.
    expect(expected.compute).toEqual({ own: 17_640, background: 8_820, statistics: 6_800, settle: 0, warmStart: 0, total: 33_260 });
    expect(expected.ratio).toBeCloseTo(60_000 / 33_260, 12);
    expect(expected.bytesDown).toBe(216);
    // Triangles of 4x4 and 6x6, sums of 4x4 and 6x4, counts of 4: 10 + 21 + 16 + 24 + 4 float64.
    expect(expected.bytesUp).toBe(108 + 8 * 75);
    expect(expected.seconds).toBeCloseTo(33.26 + 9.24, 10);
  });

  it("charges settle passes: the others' forward pass, training against it, and the weights both ways", () => {
    const fleet = fleetCost([branch, branch]);
    const without = expectedCost(branch, workload, profile, fleet);
    const settled = expectedCost(branch, { ...workload, settle: { passes: 2, epochs: 3, backgroundShare: 0.4 } }, profile, fleet);
    // A pass: 10 own and 2 background samples, 3 forwards x 294 MACs x 3 epochs; the other branch 294 and its 3 log-probabilities into 4 classes.
    const pass = 12 * (3 * 294 * 3 + 294 + 4 * 3);
    expect(settled.compute).toEqual({ ...without.compute, settle: 2 * pass, total: without.compute.total + 2 * pass });
    expect(settled.fullTargetMacs).toBe(without.fullTargetMacs);
    expect(settled.ratio).toBeCloseTo(60_000 / settled.compute.total, 12);
    expect(settled.bytesDown - without.bytesDown).toBe(2 * 108);
    expect(settled.bytesUp - without.bytesUp).toBe(2 * 108);
    expect(settled.memoryBytes - without.memoryBytes).toBe(4 * 12 * 4);
    const none = { ...workload, settle: { passes: 0, epochs: 3, backgroundShare: 1 } };
    expect(expectedCost(branch, none, profile, fleet)).toEqual(without);
  });

  it("takes memory for the statistics pass where that is the larger", () => {
    const fleet = fleetCost(Array(100).fill(branch));
    // 200 features, 300 log-probabilities.
    const held = 8 * (200 * 204 + 300 * 304 + 4);
    const expected = expectedCost(branch, workload, profile, fleet);
    expect(expected.memoryBytes).toBe(runtimeBaseBytes + 15 * 16 + 10_800 + 5 * (148 + 4 * (16 + 200)) + held);
  });

  it("charges the repetitions of a device with less than a batch", () => {
    const expected = expectedCost(branch, { ...workload, ownSamples: 2, backgroundSamples: 1, batchSize: 6 }, profile, undefined);
    // 3 samples fill a batch of 6: twice the work.
    expect(expected.compute.own).toBe(2 * 2 * 1764);
    expect(expected.compute.background).toBe(2 * 1764);
    expect(expected.fullTargetMacs).toBe(12_000);
  });

  it("charges a forward pass for each candidate and training for the hard share alone", () => {
    const hard = expectedCost(branch, { ...workload, hardShare: 0.5 }, profile, undefined);
    // 5 of 10 candidates are trained on: 1 + 3 / 2 forwards x 294 MACs x 2 epochs a sample.
    expect(hard.compute).toMatchObject({ own: 10 * 1470, background: 5 * 1470 });
    const plain = expectedCost(branch, workload, profile, undefined);
    expect(hard.fullTargetMacs).toBe(plain.fullTargetMacs);
    // 10 candidates with their pixels and their activations beside the batch.
    expect(hard.memoryBytes - plain.memoryBytes).toBe(10 * (148 + 64));
    // A share that takes the whole batch costs nothing more.
    expect(expectedCost(branch, { ...workload, hardShare: 0.99 }, profile, undefined)).toEqual(plain);
    expect(expectedCost(branch, { ...workload, hardShare: 1 }, profile, undefined)).toEqual(plain);
    // Settle passes train on all samples.
    const settle = { passes: 1, epochs: 1, backgroundShare: 1 };
    const settled = [1, 0.5].map((hardShare) =>
      expectedCost(branch, { ...workload, hardShare, settle }, profile, fleetCost([branch, branch])),
    );
    expect(settled[1]?.compute.settle).toBe(settled[0]?.compute.settle);
  });

  it("charges smaller images with their own MACs, those of the full target too", () => {
    const progressive = { scale: 0.5, epochs: 0.5 };
    const small = branchCost(network, progressive);
    // 2x2 pixels: 72 MACs in the convolution, 6 in the linear layer.
    expect([small.macs, small.smallMacs]).toEqual([294, 78]);
    expect(branch.smallMacs).toBe(294);
    expect(epochMacs(small, 2, progressive)).toBe(294 + 78);
    expect(epochMacs(small, 1, progressive)).toBe(294);
    expect(epochMacs(small, 2)).toBe(2 * 294);
    const expected = expectedCost(small, { ...workload, progressive: { ...progressive, targetSmallMacs: 250 } }, profile, undefined);
    expect(expected.compute).toMatchObject({ own: 10 * 3 * 372, background: 5 * 3 * 372 });
    expect(expected.fullTargetMacs).toBe(10 * 3 * 1250);
    // Memory is that of the whole images.
    expect(expected.memoryBytes).toBe(expectedCost(branch, workload, profile, undefined).memoryBytes);
  });

  it("and a whole training's cost are one", () => {
    const progressive = { scale: 0.5, epochs: 0.5 };
    const small = { ...progressive, targetSmallMacs: 1 };
    for (const [more, charged] of [
      [{}, {}],
      [{ hardShare: 0.5 }, { hardShare: 0.5 }],
      [{ progressive }, { progressive: small }],
      [
        { progressive, hardShare: 0.4 },
        { progressive: small, hardShare: 0.4 },
      ],
    ] as const) {
      const branch = branchCost(network, progressive);
      const expected = expectedCost(branch, { ...workload, epochs: 4, batchSize: 2, ...charged }, profile, undefined);
      expect(expected.compute.total).toBeCloseTo(15 * trainingMacs(network, { epochs: 4, batchSize: 2, ...more }), 6);
    }
  });

  it("knows no energy without watts", () => {
    const { watts: _, ...unmetered } = profile;
    expect(expectedCost(branch, workload, unmetered, undefined).energyJoules).toBeUndefined();
  });
});
