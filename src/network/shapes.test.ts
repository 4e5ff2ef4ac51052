/** Ill-formed networks: one sentence that says where and what, code `network`. */
import { describe, expect, test } from "vitest";
import {
  add,
  avgPool,
  batchNorm,
  clip,
  concat,
  conv,
  type Draft,
  dropout,
  flatten,
  globalAvgPool,
  groupNorm,
  hardSwish,
  inputOf,
  leakyRelu,
  linear,
  maxPool,
  networkOf,
  relu,
  sigmoid,
  zeroPad,
} from "../../test/support/networks.ts";
import { compileTraining } from "../compile/training.ts";
import type { Network } from "./network.ts";
import { layerCost, networkCost, outputShape, placeLayers } from "./shapes.ts";

const input = inputOf(3, 8, 6);
const net = (...drafts: readonly Draft[]): Network => networkOf(input, drafts);

const wrong: Readonly<Record<string, readonly [Network, string]>> = {
  "an unknown layer type": [
    net({ type: "conv3d", name: "c" } as unknown as Draft),
    'Layer "c" has unknown type "conv3d"; known types are add, avgPool, batchNorm, clip, concat, conv2d, dropout, flatten, globalAvgPool, groupNorm, hardSwish, leakyRelu, linear, maxPool, relu, sigmoid, zeroPad.',
  ],
  "a type that every object has": [
    net({ type: "constructor", name: "c" } as unknown as Draft),
    'Layer "c" has unknown type "constructor"; known types are add, avgPool, batchNorm, clip, concat, conv2d, dropout, flatten, globalAvgPool, groupNorm, hardSwish, leakyRelu, linear, maxPool, relu, sigmoid, zeroPad.',
  ],
  "a name used twice": [net(conv("c", 4), relu("c")), 'Layer name "c" is used twice; rename the layer.'],
  "the input's name": [net(relu("input", "input")), 'Layer name "input" is used twice; rename the layer.'],
  "a name with a dot": [net(relu("a.b")), 'Layer name "a.b" is not made of letters, digits, _ and -; rename the layer.'],
  "a missing input": [
    net(conv("c", 4), relu("r", "conv1")),
    'Layer "r" reads "conv1", which no earlier layer is called; known so far: input, c.',
  ],
  "a layer that reads a later one": [
    net(relu("r", "c"), conv("c", 4)),
    'Layer "r" reads "c", which no earlier layer is called; known so far: input.',
  ],
  "too few inputs": [net(conv("c", 4), add("sum", "c")), 'Layer "sum": add takes 2 to 64 inputs, got 1.'],
  "too many inputs": [net(conv("c", 4), relu("r", "c", "c")), 'Layer "r": relu takes 1 to 1 inputs, got 2.'],
  "a window that is too big": [
    net(maxPool("p", [9, 9])),
    'Layer "p": a 9x9 window does not fit its 8x6 input with padding 0x0; use a smaller kernel, more padding or fewer pools before it.',
  ],
  "a dilated window that is too big": [
    net(conv("c", 4, { kernel: [3, 3], dilation: [1, 4], padding: [0, 0] })),
    'Layer "c": a 3x3 window does not fit its 8x6 input with padding 0x0; use a smaller kernel, more padding or fewer pools before it.',
  ],
  "a pool with windows in the padding alone": [
    net(maxPool("p", [2, 2], [2, 2], [2, 0])),
    'Layer "p": padding 2x0 must be less than the 2x2 window, or some windows would hold no value; use less padding.',
  ],
  "an average of nothing": [
    net(avgPool("p", [1, 3], [1, 1], [1, 1], false)),
    'Layer "p": padding 1x1 must be less than the 1x3 window, or some windows would hold no value; use less padding.',
  ],
  "a stride of 0": [net(conv("c", 4, { stride: [0, 1] })), 'Layer "c": stride must be whole numbers of at least 1, got [0, 1].'],
  "a negative padding": [net(conv("c", 4, { padding: [0, -1] })), 'Layer "c": padding must be whole numbers of at least 0, got [0, -1].'],
  "half a pixel": [net(avgPool("p", [1.5, 2])), 'Layer "p": kernel must be whole numbers of at least 1, got [1.5, 2].'],
  "groups that do not divide": [
    net(conv("c", 4, { groups: 2 })),
    'Layer "c": 2 groups must divide both its 3 input channels and its 4 output channels.',
  ],
  "no groups": [net(conv("c", 4, { groups: 0 })), 'Layer "c": groups must be a whole number of at least 1, got 0.'],
  "groups of a norm that do not divide": [net(groupNorm("g", 2)), 'Layer "g": 2 groups do not divide its 3 channels.'],
  "a norm of no groups": [net(groupNorm("g", 0)), 'Layer "g": groups must be a whole number of at least 1, got 0.'],
  "no channels": [net(conv("c", 0)), 'Layer "c": outChannels must be a whole number of at least 1, got 0.'],
  "a share of a feature": [net(flatten("f"), linear("l", 2.5)), 'Layer "l": outFeatures must be a whole number of at least 1, got 2.5.'],
  "shapes that do not add": [
    net(conv("a", 4), conv("b", 5), add("sum", "a", "b")),
    'Layer "sum": add needs inputs of one shape, got 4x8x6, 5x8x6.',
  ],
  "images that do not concatenate": [
    net(conv("a", 4), maxPool("p", [2, 2]), concat("cat", "a", "p")),
    'Layer "cat": concat needs inputs of one height and width, got 4x8x6, 4x4x3.',
  ],
  "a linear layer on an image": [
    net(conv("a", 4), linear("l", 3)),
    'Layer "l": a linear layer needs a vector, got 4x8x6; put flatten or globalAvgPool before it.',
  ],
  "dropout of everything": [net(dropout("d", 1)), 'Layer "d": dropout probability must be at least 0 and under 1, got 1.'],
  "limits that cross": [net(clip("c", 1, 0)), 'Layer "c": a clip needs a finite minimum below its maximum, got 1 and 0.'],
  "no upper limit": [
    net(clip("c", 0, Number.POSITIVE_INFINITY)),
    'Layer "c": a clip needs a finite minimum below its maximum, got 0 and Infinity.',
  ],
  "a slope that is no number": [net(leakyRelu("l", Number.NaN)), 'Layer "l": slope must be a finite number, such as 0.01, got NaN.'],
  "padding that cuts": [
    net(zeroPad("z", 0, 1, -1, 0)),
    'Layer "z": padding must be four whole numbers of at least 0 (top, left, bottom, right), got [0, 1, -1, 0].',
  ],
  "no layers": [net(), 'Network "test" has no layers; give at least one.'],
  "means that are not one per channel": [
    { ...net(relu("r")), input: { ...input, mean: [0] } },
    'Network "test": the input has 3 channels but 1 means and 3 standard deviations; give one of each per channel.',
  ],
  "a standard deviation of 0": [
    { ...net(relu("r")), input: { ...input, std: [1, 0, 1] } },
    'Network "test": standard deviations of the input must be positive, got 1, 0, 1.',
  ],
};

describe("placeLayers", () => {
  test.each(Object.keys(wrong))("refuses %s", (name) => {
    const [network, message] = wrong[name] as (typeof wrong)[string];
    expect(() => placeLayers(network)).toThrow(expect.objectContaining({ code: "network", message }));
  });

  test("infers shapes and parameters", () => {
    const placed = placeLayers(net(conv("c", 4, { stride: [2, 2], bias: false }), batchNorm("bn"), globalAvgPool("g"), linear("l", 5)));
    expect(placed.map((p) => p.output)).toEqual([
      { channels: 4, height: 4, width: 3 },
      { channels: 4, height: 4, width: 3 },
      { channels: 4, height: 1, width: 1 },
      { channels: 5, height: 1, width: 1 },
    ]);
    expect(placed.flatMap((p) => p.parameters.map((s) => `${p.layer.name}.${s.name} ${s.role} ${s.shape.join("x")} ${s.decay}`))).toEqual([
      "c.weight parameter 4x3x3x3 true",
      "bn.weight parameter 4 false",
      "bn.bias parameter 4 false",
      "bn.running_mean state 4 false",
      "bn.running_var state 4 false",
      "l.weight parameter 5x4 true",
      "l.bias parameter 5 false",
    ]);
  });
});

describe("costs", () => {
  test("count multiply-adds, parameters and bytes by hand", () => {
    const network = net(conv("c", 4, { groups: 1, stride: [2, 2] }), relu("r"), flatten("f"), linear("l", 5));
    const [c, r, , l] = placeLayers(network).map(layerCost);
    expect(c).toMatchObject({ macs: 4 * 4 * 3 * 27, parameters: 4 * 27 + 4, stateElements: 0, activationBytes: 4 * 48 });
    expect(r).toMatchObject({ macs: 0, parameters: 0, activationBytes: 4 * 48 });
    expect(l).toMatchObject({ macs: 5 * 48, parameters: 5 * 48 + 5, activationBytes: 4 * 5 });
    const total = networkCost(network);
    expect(total).toMatchObject({ macs: 48 * 27 + 240, parameters: 112 + 245, activationBytes: 4 * (48 * 3 + 5) });
    expect(total.trainingBytes).toBeGreaterThanOrEqual(total.activationBytes);
  });

  test("elementwise functions and padding multiply nothing and keep or grow the image", () => {
    const network = net(leakyRelu("a", 0.1), clip("b", 0, 6), sigmoid("c"), hardSwish("d"), zeroPad("e", 1, 2, 3, 4));
    expect(networkCost(network)).toMatchObject({ macs: 0, parameters: 0, activationBytes: 4 * 3 * (4 * 48 + 12 * 12) });
    expect(outputShape(network)).toEqual({ channels: 3, height: 12, width: 12 });
  });

  test("grouped convolutions cost their share", () => {
    const macs = (groups: number): number => networkCost(net(conv("c", 12, { groups }))).macs;
    expect(macs(3)).toBe(macs(1) / 3);
  });
});

describe("compileTraining", () => {
  const options = { batchSize: 2, optimizer: { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 } } as const;
  test("refuses an output that is not a vector", () => {
    expect(() => compileTraining(net(conv("c", 4)), options)).toThrow(
      expect.objectContaining({ code: "network", message: 'Network "test" ends in 4x8x6; end it in a linear layer, one logit per class.' }),
    );
  });
  test.each([0, -1, 1.5, Number.NaN])("refuses a batch size of %d", (batchSize) => {
    expect(() => compileTraining(net(conv("c", 4), globalAvgPool("g")), { ...options, batchSize })).toThrow(
      expect.objectContaining({ code: "config", message: `Batch size must be a whole number of at least 1, got ${batchSize}.` }),
    );
  });
});
