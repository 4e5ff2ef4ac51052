/** Units of several layers, and lowerings that only float32 has, against layers by themselves and float64. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { randomBatch } from "../../test/support/batches.ts";
import { checkGradients } from "../../test/support/checkGradients.ts";
import { batchNorm, conv, type Draft, flatten, inputOf, linear, maxPool, networkOf, relu } from "../../test/support/networks.ts";
import { runGraph } from "../../test/support/session.ts";
import type { Network, Pair } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { random } from "../util/random.ts";
import { type FloatDType, floats, type Tensor } from "../util/tensor.ts";
import { forTraining } from "./rewrite.ts";
import { compileTraining, initialState } from "./training.ts";
import { unitsOf } from "./units.ts";

const sgd = { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 } as const;

const numbers = (tensor: Tensor | undefined): number[] => Array.from((tensor?.data ?? []) as ArrayLike<number>);

function greatestDifference(a: Tensor | undefined, b: Tensor | undefined): number {
  const other = numbers(b);
  return Math.max(...numbers(a).map((value, i) => Math.abs(value - (other[i] ?? Number.NaN))));
}

function network(middle: readonly Draft[], height = 8, width = 6): Network {
  return networkOf(inputOf(2, height, width), [conv("first", 3, { bias: false }), ...middle, flatten("flat"), linear("last", 3)]);
}

const normalizedPool = (pool: Draft): readonly Draft[] => [conv("c", 4, { bias: false }), batchNorm("bn"), relu("r"), pool];
const unitNames = (net: Network, batchSize: number): string[] =>
  unitsOf(placeLayers(forTraining(net)), batchSize).map((unit) => unit.layers.map((p) => p.layer.name).join("+"));

/** State of a program in its dtype, the same numbers for either; scales of normalizations lie on both sides of 0. */
function stateOf(net: Network, dtype: FloatDType, batchSize: number): { feeds: Map<string, Tensor>; run(): Promise<Map<string, Tensor>> } {
  const program = compileTraining(net, { batchSize, optimizer: sgd, dtype, exposeGradients: true });
  const source = random(3, "state");
  const state = initialState(program, 3);
  for (const [name, value] of state) {
    if (/\.(weight|bias)$/.test(name)) {
      state.set(
        name,
        floats(
          dtype,
          value.shape,
          numbers(value).map((x) => x - 0.9 + source.normal()),
        ),
      );
    }
  }
  const feeds = new Map([...state, ...randomBatch(program, 5)]);
  return { feeds, run: () => runGraph(program.graph, feeds) };
}

describe("convolution, batch norm and max pool in one", () => {
  test("are one unit where the activation outweighs the weights, and nothing else reads between them", () => {
    const net = network(normalizedPool(maxPool("p", [2, 2])));
    expect(unitNames(net, 4)).toEqual(["first", "c+bn+r", "p", "flat", "last"]);
    expect(
      unitNames(network([...normalizedPool(maxPool("p", [2, 2])), conv("d", 4), batchNorm("bn2"), maxPool("p2", [2, 2])]), 4),
    ).toContain("d");
    const wide = network([conv("c", 64, { bias: false }), conv("w", 64, { bias: false }), batchNorm("bn"), maxPool("p", [2, 2])], 2, 2);
    expect(unitNames(wide, 1)).toContain("w");
  });

  for (const [name, pool] of [
    ["2x2", maxPool("p", [2, 2])],
    ["overlapping and padded", maxPool("p", [3, 3], [2, 2], [1, 1])],
  ] as const) {
    test.each([4, 9])(`gradients, ${name}, batch %i`, (batchSize) =>
      checkGradients(network(normalizedPool(pool)), { batchSize, seed: batchSize }),
    );
  }

  test("gradients where scales are negative, zero and positive, and running statistics, are those of the layers by themselves", async () => {
    const middle = normalizedPool(maxPool("p", [2, 2]));
    // A pool of single pixels in between keeps the layers apart and changes nothing.
    const together = stateOf(network(middle), "float64", 5);
    const apart = stateOf(network([...middle.slice(0, 2), relu("r"), maxPool("same", [1, 1]), maxPool("p", [2, 2])]), "float64", 5);
    const scales = [-1.5, 0, 0.75, -0.25];
    for (const { feeds } of [together, apart]) feeds.set("bn.weight", floats("float64", [4], scales));
    expect(unitNames(network(middle), 5)).toContain("c+bn+r");
    const [a, b] = [await together.run(), await apart.run()];
    for (const key of [
      "loss",
      "logits",
      "c.weight.gradient",
      "bn.bias.gradient",
      "first.weight.gradient",
      "bn.running_mean.next",
      "bn.running_var.next",
    ]) {
      const expected = b.get(key);
      expect(greatestDifference(a.get(key), expected), key).toBeLessThan(1e-10);
    }
  });
});

describe("float32 lowerings give the gradients of float64", () => {
  const variants: Readonly<Record<string, readonly Draft[]>> = {
    "3x3": [conv("c", 5)],
    "5x3 padded 2x1": [conv("c", 5, { kernel: [5, 3], padding: [2, 1] })],
    "3x3 unpadded": [conv("c", 5, { padding: [0, 0] })],
    "padded more than the kernel reaches": [conv("c", 5, { kernel: [2, 2], padding: [2, 3] })],
    "stride 2x1": [conv("c", 5, { stride: [2, 1] })],
    "stride 2": [conv("c", 5, { stride: [2, 2] })],
    "dilation 2x3": [conv("c", 5, { dilation: [2, 3], padding: [2, 3] })],
    "3 groups": [conv("c", 6, { groups: 3 })],
    depthwise: [conv("c", 3, { groups: 3 })],
    "depthwise 5x3 padded 2x1": [conv("c", 3, { groups: 3, kernel: [5, 3], padding: [2, 1] })],
    "depthwise stride 2": [conv("c", 3, { groups: 3, stride: [2, 2] })],
    "depthwise stride 2x1 unpadded": [conv("c", 3, { groups: 3, stride: [2, 1], padding: [0, 0] })],
    "depthwise stride 1x3": [conv("c", 3, { groups: 3, stride: [1, 3] })],
    "depthwise dilation 2 stride 2": [conv("c", 3, { groups: 3, stride: [2, 2], dilation: [2, 2], padding: [2, 1] })],
    "depthwise multiplier 2": [conv("c", 6, { groups: 3 })],
    "depthwise multiplier 3 stride 3x2": [conv("c", 9, { groups: 3, stride: [3, 2] })],
    "depthwise padded more than the kernel reaches": [conv("c", 3, { groups: 3, padding: [2, 3] })],
    "depthwise with a flat kernel": [conv("c", 3, { groups: 3, kernel: [1, 3], padding: [0, 1] })],
    "depthwise 3x1": [conv("c", 3, { groups: 3, kernel: [3, 1], padding: [1, 0] })],
    "normalized pool of a depthwise convolution": [conv("c", 3, { groups: 3, bias: false }), batchNorm("bn"), maxPool("p", [2, 2])],
    "1x1": [conv("c", 5, { kernel: [1, 1], padding: [0, 0] })],
    "1x1 padded": [conv("c", 5, { kernel: [1, 1], padding: [1, 1] })],
    "normalized pool": normalizedPool(maxPool("p", [2, 2])),
  };
  async function compare(net: Network, batchSize: number, tolerance = 1e-4): Promise<void> {
    const [single, double] = [await stateOf(net, "float32", batchSize).run(), await stateOf(net, "float64", batchSize).run()];
    for (const [key, expected] of double) {
      if (!/gradient|logits/.test(key)) continue;
      const scale = Math.max(1e-3, ...numbers(expected).map(Math.abs));
      expect(greatestDifference(single.get(key), expected) / scale, key).toBeLessThan(tolerance);
    }
  }
  for (const [name, middle] of Object.entries(variants)) test(name, () => compare(network(middle), 4));
  test("depthwise, one image of 20x5", () => compare(network([conv("c", 3, { groups: 3 })], 20, 5), 1));
  test("depthwise, taller than banded matrices pay", () => compare(network([conv("c", 3, { groups: 3, stride: [2, 2] })], 50, 4), 2));

  test("drawn depthwise convolutions", async () => {
    const pair = (least: number, most: number): fc.Arbitrary<Pair> =>
      fc.tuple(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: most }));
    const attributes = fc.record({
      batchSize: fc.integer({ min: 1, max: 3 }),
      extent: pair(4, 9),
      multiplier: fc.integer({ min: 1, max: 3 }),
      kernel: fc.tuple(fc.integer({ min: 3, max: 5 }), fc.integer({ min: 1, max: 5 })),
      stride: pair(1, 3),
      padding: pair(0, 3),
      dilation: pair(1, 2),
    });
    // Logits of hundreds leave single precision few digits; a wrong lowering is wrong in the first.
    await fc.assert(
      fc.asyncProperty(attributes, async ({ batchSize, extent, multiplier, ...rest }) => {
        fc.pre([0, 1].every((i) => extent[i]! + 2 * rest.padding[i]! > rest.dilation[i]! * (rest.kernel[i]! - 1)));
        await compare(network([conv("c", 3 * multiplier, { groups: 3, ...rest })], ...extent), batchSize, 5e-3);
      }),
      { seed: 22, numRuns: 40 },
    );
  });
});
