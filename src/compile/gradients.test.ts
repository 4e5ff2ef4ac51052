/** Every layer type's backward pass against central differences. */
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { randomBatch } from "../../test/support/batches.ts";
import { checkGradients } from "../../test/support/checkGradients.ts";
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
import { runGraph } from "../../test/support/session.ts";
import { layerRules } from "../network/layers/table.ts";
import type { LayerAttributes, LayerType, Network, Pair } from "../network/network.ts";
import type { Activation } from "../network/rules.ts";
import { compileTraining, initialState } from "./training.ts";

const sgd = { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 } as const;

type Conv = Partial<LayerAttributes["conv2d"]>;

/** A layer with parameters before the layers under test, flatten and a linear layer after them. */
function sandwich(middle: readonly Draft[], channels = 4, height = 7, width = 5): Network {
  return networkOf(inputOf(2, height, width), [
    conv("first", channels, { kernel: [1, 1], padding: [0, 0] }),
    ...middle,
    flatten("flat"),
    linear("last", 3),
  ]);
}

const convolutions: Readonly<Record<string, Conv>> = {
  "1x1": { kernel: [1, 1], padding: [0, 0] },
  "1x1 stride 2": { kernel: [1, 1], padding: [0, 0], stride: [2, 2] },
  "1x1 stride 3x2": { kernel: [1, 1], padding: [0, 0], stride: [3, 2] },
  "1x1 padded": { kernel: [1, 1], padding: [1, 2] },
  "3x3": {},
  "3x3 without bias": { bias: false },
  "3x3 no padding": { padding: [0, 0] },
  "3x3 padding 2": { padding: [2, 2] },
  "3x3 stride 2": { stride: [2, 2] },
  "3x3 stride 3": { stride: [3, 3] },
  "3x3 stride 1x2": { stride: [1, 2] },
  "3x3 dilation 2": { dilation: [2, 2], padding: [2, 2] },
  "3x3 dilation 2 stride 2": { dilation: [2, 2], padding: [2, 2], stride: [2, 2] },
  "3x3 dilation 1x2": { dilation: [1, 2], padding: [1, 1] },
  "5x5": { kernel: [5, 5], padding: [2, 2] },
  "2x2": { kernel: [2, 2], padding: [0, 0] },
  "2x2 stride 2": { kernel: [2, 2], padding: [0, 0], stride: [2, 2] },
  "4x4 padding 1": { kernel: [4, 4], padding: [1, 1] },
  "1x3": { kernel: [1, 3], padding: [0, 1] },
  "5x2 stride 2": { kernel: [5, 2], padding: [2, 1], stride: [2, 2] },
  "2 groups": { groups: 2 },
  "2 groups stride 2": { groups: 2, stride: [2, 2] },
  "2 groups without bias, dilation 2": { groups: 2, dilation: [2, 2], bias: false },
  depthwise: { groups: 4, outChannels: 4 },
  "depthwise stride 2": { groups: 4, outChannels: 4, stride: [2, 2] },
  "depthwise stride 2x3, dilation 2x1, padding 2x1": { groups: 4, outChannels: 4, stride: [2, 3], dilation: [2, 1], padding: [2, 1] },
  "depthwise 5x3 without padding": { groups: 4, outChannels: 4, kernel: [5, 3], padding: [0, 0], bias: false },
  "depthwise multiplier 3, stride 2, dilation 2": { groups: 4, outChannels: 12, stride: [2, 2], dilation: [2, 2], padding: [2, 2] },
  "depthwise multiplier 2": { groups: 4, outChannels: 8 },
  "grouped 1x1": { groups: 2, kernel: [1, 1], padding: [0, 0] },
  "grouped 1x1 stride 2": { groups: 2, kernel: [1, 1], padding: [0, 0], stride: [2, 2] },
};

describe("conv2d", () => {
  for (const [name, options] of Object.entries(convolutions)) {
    test.each([1, 3])(`${name}, batch %i`, (batchSize) => checkGradients(sandwich([conv("conv", 6, options)]), { batchSize }));
  }

  test("11x11 stride 4 padding 5", () =>
    checkGradients(sandwich([conv("conv", 3, { kernel: [11, 11], stride: [4, 4], padding: [5, 5] })], 2, 13, 11), { batchSize: 2 }));

  test("as the first layer of a network", () =>
    checkGradients(networkOf(inputOf(3, 6, 5), [conv("conv", 4), globalAvgPool("pool"), linear("last", 3)]), { batchSize: 3 }));

  test("drawn attributes", async () => {
    const small = (least: number, most: number) => fc.integer({ min: least, max: most });
    const pair = (least: number, most: number): fc.Arbitrary<Pair> => fc.tuple(small(least, most), small(least, most));
    const attributes = fc.record({
      batchSize: small(1, 3),
      extent: pair(5, 8),
      groups: fc.constantFrom(1, 1, 2, 3),
      perGroup: pair(1, 2),
      kernel: pair(1, 5),
      stride: pair(1, 3),
      padding: pair(0, 3),
      dilation: pair(1, 2),
      bias: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(attributes, async ({ batchSize, extent, groups, perGroup, ...rest }) => {
        fc.pre([0, 1].every((i) => extent[i]! + 2 * rest.padding[i]! > rest.dilation[i]! * (rest.kernel[i]! - 1)));
        const layer = conv("conv", groups * perGroup[1], { groups, ...rest });
        await checkGradients(sandwich([layer], groups * perGroup[0], ...extent), { batchSize, directions: 1 });
      }),
      { seed: 20, numRuns: 40 },
    );
  });
});

describe("normalization", () => {
  for (const batchSize of [1, 3]) {
    test(`batchNorm, batch ${batchSize}`, () => checkGradients(sandwich([batchNorm("bn")]), { batchSize }));
    test(`conv, batchNorm, relu, batch ${batchSize}`, () =>
      checkGradients(sandwich([conv("c", 3, { bias: false }), batchNorm("bn"), relu("r")]), { batchSize }));
    for (const groups of [1, 2, 4]) {
      test(`groupNorm of ${groups} groups, batch ${batchSize}`, () => checkGradients(sandwich([groupNorm("gn", groups)]), { batchSize }));
    }
  }
  test("batchNorm of a vector", () =>
    checkGradients(networkOf(inputOf(3, 4, 4), [globalAvgPool("p"), linear("l", 5), batchNorm("bn"), relu("r"), linear("last", 3)]), {
      batchSize: 5,
    }));
  test("batchNorm as the first layer", () =>
    checkGradients(networkOf(inputOf(3, 4, 5), [batchNorm("bn"), flatten("f"), linear("last", 3)]), { batchSize: 3 }));
  test("groupNorm as the first layer", () =>
    checkGradients(networkOf(inputOf(4, 4, 5), [groupNorm("gn", 2), flatten("f"), linear("last", 3)]), { batchSize: 3 }));
});

const pools: Readonly<Record<string, Draft>> = {
  "maxPool 3x3 stride 2 padding 1": maxPool("pool", [3, 3], [2, 2], [1, 1]),
  "maxPool 3x3 stride 1 padding 1": maxPool("pool", [3, 3], [1, 1], [1, 1]),
  "maxPool 2x2, odd extents": maxPool("pool", [2, 2]),
  "maxPool 2x2 padding 1": maxPool("pool", [2, 2], [2, 2], [1, 1]),
  "maxPool 3x2 stride 2x1": maxPool("pool", [3, 2], [2, 1]),
  "maxPool 2x1": maxPool("pool", [2, 1]),
  "maxPool 1x1 stride 2": maxPool("pool", [1, 1], [2, 2]),
  "maxPool 7x5, the whole image": maxPool("pool", [7, 5]),
  "avgPool 2x2": avgPool("pool", [2, 2]),
  "avgPool 3x3 stride 2 padding 1": avgPool("pool", [3, 3], [2, 2], [1, 1]),
  "avgPool 3x3 stride 2 padding 1, padding not counted": avgPool("pool", [3, 3], [2, 2], [1, 1], false),
  "avgPool 3x2 stride 1x2": avgPool("pool", [3, 2], [1, 2]),
  globalAvgPool: globalAvgPool("pool"),
};

describe("pools", () => {
  for (const [name, pool] of Object.entries(pools)) {
    test.each([1, 3])(`${name}, batch %i`, (batchSize) => checkGradients(sandwich([pool]), { batchSize }));
  }
  for (const [height, width] of [
    [6, 4],
    [8, 8],
    [2, 2],
    [4, 2],
  ] as const) {
    test.each([1, 3])(`maxPool 2x2 tiling ${height}x${width}, batch %i`, (batchSize) =>
      checkGradients(sandwich([maxPool("pool", [2, 2])], 3, height, width), { batchSize }),
    );
  }
  test("maxPool of 3x3 and 4x2 tiling", async () => {
    await checkGradients(sandwich([maxPool("pool", [3, 3])], 3, 6, 9), { batchSize: 2 });
    await checkGradients(sandwich([maxPool("pool", [4, 2])], 3, 8, 4), { batchSize: 2 });
  });
  test("pools one after another, with relus around them", () =>
    checkGradients(sandwich([relu("r1"), maxPool("p1", [2, 2]), maxPool("p2", [2, 2]), relu("r2")], 4, 8, 8), { batchSize: 2 }));
  for (const [name, pool] of Object.entries({
    "2x2": maxPool("p", [2, 2]),
    "3x3 stride 2 padding 1": maxPool("p", [3, 3], [2, 2], [1, 1]),
    average: avgPool("p", [2, 2]),
  })) {
    const normalized = (bias: boolean): readonly Draft[] => [conv("c", 5, { bias }), batchNorm("bn")];
    test.each([1, 4])(`conv, batchNorm, relu, ${name} pool, batch %i`, (batchSize) =>
      checkGradients(sandwich([...normalized(false), relu("r"), pool], 3, 8, 6), { batchSize }),
    );
    test(`conv with bias, batchNorm, ${name} pool, relu`, () =>
      checkGradients(sandwich([...normalized(true), pool, relu("r")], 3, 7, 5), { batchSize: 3 }));
    test(`conv that another layer reads too, batchNorm, ${name} pool`, () =>
      checkGradients(
        sandwich(
          [...normalized(false), pool, flatten("f1"), { ...flatten("f2"), inputs: ["c"] }, concat("cat", "f1", "f2"), linear("wide", 6)],
          3,
          8,
          6,
        ),
        { batchSize: 3 },
      ));
  }
  test("a relu that a pool and another layer read", () =>
    checkGradients(sandwich([relu("r"), maxPool("p", [3, 3], [1, 1], [1, 1]), add("sum", "p", "r")], 3, 6, 5), { batchSize: 3 }));

  test("drawn attributes", async () => {
    const small = (least: number, most: number) => fc.integer({ min: least, max: most });
    const pair = (least: number, most: number): fc.Arbitrary<Pair> => fc.tuple(small(least, most), small(least, most));
    const attributes = fc.record({
      batchSize: small(1, 3),
      extent: pair(4, 8),
      kernel: pair(1, 4),
      stride: pair(1, 3),
      padding: pair(0, 2),
      kind: fc.constantFrom("max", "mean", "meanInside"),
      rectified: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(attributes, async ({ batchSize, extent, kernel, stride, padding, kind, rectified }) => {
        fc.pre([0, 1].every((i) => padding[i]! < kernel[i]! && extent[i]! + 2 * padding[i]! >= kernel[i]!));
        const pool = kind === "max" ? maxPool("pool", kernel, stride, padding) : avgPool("pool", kernel, stride, padding, kind === "mean");
        await checkGradients(sandwich(rectified ? [relu("relu"), pool] : [pool], 2, ...extent), { batchSize, directions: 1 });
      }),
      { seed: 21, numRuns: 40 },
    );
  });
});

const elementwise: Readonly<Record<string, Draft>> = {
  relu: relu("f"),
  "leakyRelu of a tenth": leakyRelu("f", 0.1),
  "leakyRelu of slope 0": leakyRelu("f", 0),
  "leakyRelu of a negative slope": leakyRelu("f", -0.5),
  "leakyRelu steeper than 1": leakyRelu("f", 1.5),
  "clip at 0 and 1": clip("f", 0, 1),
  "clip of limits around 0": clip("f", -0.75, 0.5),
  "clip that holds most": clip("f", 0.25, 0.5),
  sigmoid: sigmoid("f"),
  hardSwish: hardSwish("f"),
};

describe("elementwise functions", () => {
  for (const [name, draft] of Object.entries(elementwise)) {
    test.each([1, 3])(`${name}, batch %i`, (batchSize) => checkGradients(sandwich([draft]), { batchSize }));
    test(`${name} before a pool`, () => checkGradients(sandwich([draft, maxPool("p", [3, 3], [2, 2], [1, 1])]), { batchSize: 2 }));
  }
  test("hardSwish far from 0, where it is straight", () =>
    checkGradients(
      networkOf({ ...inputOf(2, 5, 4), std: [0.1, 0.1] }, [
        conv("first", 4, { kernel: [1, 1], padding: [0, 0] }),
        hardSwish("f"),
        flatten("flat"),
        linear("last", 3),
      ]),
      { batchSize: 2 },
    ));
});

describe("zeroPad", () => {
  const paddings: readonly LayerAttributes["zeroPad"]["padding"][] = [
    [0, 0, 1, 1],
    [1, 0, 0, 0],
    [0, 2, 0, 0],
    [3, 1, 0, 2],
    [0, 0, 0, 0],
  ];
  for (const padding of paddings) {
    test(`${padding.join(", ")} above, left, below and right`, async () => {
      for (const batchSize of [1, 3]) await checkGradients(sandwich([zeroPad("pad", ...padding)]), { batchSize });
      await checkGradients(sandwich([zeroPad("pad", ...padding), conv("c", 3, { stride: [2, 2], padding: [0, 0] })]), { batchSize: 2 });
    });
  }
});

describe("graphs", () => {
  const block: readonly Draft[] = [
    conv("a", 4, { bias: false }),
    batchNorm("bnA"),
    relu("rA"),
    conv("b", 4, { bias: false }),
    batchNorm("bnB"),
    add("sum", "bnB", "first"),
    relu("out"),
  ];
  test.each([1, 3])("residual block, batch %i", (batchSize) => checkGradients(sandwich(block), { batchSize }));
  test("residual block with a strided shortcut", () =>
    checkGradients(
      sandwich([
        conv("a", 6, { stride: [2, 2] }),
        relu("rA"),
        conv("b", 6),
        conv("short", 6, { inputs: ["first"], kernel: [1, 1], padding: [0, 0], stride: [2, 2] }),
        add("sum", "b", "short"),
        relu("out"),
      ]),
      { batchSize: 2 },
    ));
  test("add of three, one of them twice", () =>
    checkGradients(sandwich([conv("a", 4), conv("b", 4, { inputs: ["first"] }), add("sum", "a", "b", "first", "a")]), { batchSize: 2 }));
  test("concat of branches of unequal width", () =>
    checkGradients(sandwich([conv("a", 2), conv("b", 5, { inputs: ["first"] }), concat("cat", "a", "first", "b"), conv("c", 3)]), {
      batchSize: 3,
    }));
  test("concat of an activation with itself and with the network's input", () =>
    checkGradients(sandwich([conv("a", 2), concat("cat", "a", "a", "input"), relu("r")]), { batchSize: 2 }));
  test("several readers of one activation", () =>
    checkGradients(
      sandwich([
        relu("r"),
        conv("a", 3, { inputs: ["r"] }),
        maxPool("p", [3, 3], [1, 1], [1, 1]),
        conv("b", 3, { inputs: ["r"] }),
        concat("cat", "p", "b", "r"),
      ]),
      { batchSize: 2 },
    ));
  test("a layer that nothing reads keeps its parameters and has no gradient", async () => {
    const network = sandwich([conv("unread", 3), relu("r", "first")]);
    const program = compileTraining(network, { batchSize: 2, optimizer: sgd, dtype: "float64", exposeGradients: true });
    expect(program.outputs.map((o) => o.name)).not.toContain("unread.weight.gradient");
    const state = initialState(program, 1);
    const outputs = await runGraph(program.graph, new Map([...state, ...randomBatch(program, 1, 0.1)]));
    expect(outputs.get("unread.weight.next")?.data).toEqual(state.get("unread.weight")?.data);
    expect(outputs.get("first.weight.next")?.data).not.toEqual(state.get("first.weight")?.data);
  });
});

describe("the rest", () => {
  test("dropout, with the mask of one state of its counter", () =>
    checkGradients(sandwich([dropout("d1", 0.4), conv("c", 4), dropout("d2", 0.5)]), { batchSize: 3 }));
  test("dropout of probability 0", () => checkGradients(sandwich([dropout("d", 0)]), { batchSize: 2 }));
  test("linear layers, without bias too", () =>
    checkGradients(networkOf(inputOf(2, 3, 3), [flatten("f"), linear("a", 7), relu("r"), linear("b", 5, false), linear("last", 4)]), {
      batchSize: 3,
    }));
  test("label smoothing", () => checkGradients(sandwich([relu("r")]), { batchSize: 3, labelSmoothing: 0.1 }));
  test("soft targets", () => checkGradients(sandwich([relu("r")]), { batchSize: 3, softTargets: true }));
  test("soft targets and label smoothing", () =>
    checkGradients(sandwich([relu("r")]), { batchSize: 3, softTargets: true, labelSmoothing: 0.2 }));
  test("one image of one pixel", () =>
    checkGradients(networkOf(inputOf(3, 1, 1), [conv("c", 4), relu("r"), flatten("f"), linear("last", 3)]), { batchSize: 1 }));
  test("two classes, and one", async () => {
    await checkGradients(networkOf(inputOf(2, 3, 3), [conv("c", 4), globalAvgPool("p"), linear("last", 2)]), { batchSize: 2 });
    await checkGradients(networkOf(inputOf(2, 3, 3), [conv("c", 4), globalAvgPool("p"), linear("last", 1)]), { batchSize: 2 });
  });
  test("a convolution as the last layer", () =>
    checkGradients(networkOf(inputOf(2, 3, 3), [conv("c", 4), relu("r"), conv("last", 3, { kernel: [3, 3], padding: [0, 0] })]), {
      batchSize: 2,
    }));
});

test("a backward pass that is wrong is found", async () => {
  const spy = vi.spyOn(layerRules.relu, "train").mockImplementation(({ builder }, _layer, [x], output) => ({
    output: { value: builder.op("Relu", [(x as Activation).value]), shape: output },
    backward: (gradient) => ({ inputs: [gradient], parameters: {} }),
  }));
  try {
    await expect(checkGradients(sandwich([relu("r")]), { batchSize: 2 })).rejects.toThrow("first.weight along direction 0");
  } finally {
    spy.mockRestore();
  }
});

test("the checks above name every layer type", () => {
  const covered: readonly LayerType[] = [
    "add",
    "avgPool",
    "batchNorm",
    "clip",
    "concat",
    "conv2d",
    "dropout",
    "flatten",
    "globalAvgPool",
    "groupNorm",
    "hardSwish",
    "leakyRelu",
    "linear",
    "maxPool",
    "relu",
    "sigmoid",
    "zeroPad",
  ];
  expect(Object.keys(layerRules).sort()).toEqual([...covered].sort());
});
