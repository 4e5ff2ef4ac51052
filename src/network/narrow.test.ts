import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  add,
  avgPool,
  batchNorm,
  concat,
  conv,
  type Draft,
  flatten,
  globalAvgPool,
  groupNorm,
  inputOf,
  linear,
  maxPool,
  networkOf,
  relu,
} from "../../test/support/networks.ts";
import { narrow, scaledWidth, widthGroups } from "./narrow.ts";
import type { Layer, Network } from "./network.ts";
import { networkCost, outputShape, placeLayers } from "./shapes.ts";

const input = inputOf(3, 8, 8);
const head: readonly Draft[] = [globalAvgPool("gap"), linear("last", 10)];
const pointwise = { kernel: [1, 1], padding: [0, 0] } as const;

const networks: Readonly<Record<string, Network>> = {
  chain: networkOf(input, [
    conv("a", 16),
    batchNorm("bn"),
    relu("r"),
    maxPool("p", [2, 2]),
    conv("b", 32),
    flatten("f"),
    linear("l", 20),
    linear("last", 10),
  ]),
  residual: networkOf(input, [
    conv("first", 16),
    relu("r0"),
    conv("a", 24),
    relu("r1"),
    conv("b", 16),
    add("sum", "b", "r0"),
    conv("c", 32, { stride: [2, 2] }),
    conv("short", 32, { inputs: ["sum"], stride: [2, 2], ...pointwise }),
    add("sum2", "c", "short"),
    ...head,
  ]),
  depthwise: networkOf(input, [
    conv("a", 16),
    conv("dw", 16, { groups: 16 }),
    batchNorm("bn"),
    conv("pw", 24, pointwise),
    add("sum", "pw", "pw"),
    ...head,
  ]),
  "residual over a depthwise convolution": networkOf(input, [
    conv("a", 16),
    conv("up", 32, pointwise),
    conv("dw", 32, { groups: 32 }),
    conv("down", 16, pointwise),
    add("sum", "down", "a"),
    ...head,
  ]),
  "depthwise of two outputs per channel": networkOf(input, [
    conv("a", 16),
    conv("dw", 32, { groups: 16, stride: [2, 2] }),
    batchNorm("bn"),
    conv("pw", 24, pointwise),
    ...head,
  ]),
  "depthwise on the input": networkOf(input, [conv("dw", 3, { groups: 3 }), conv("a", 16, pointwise), ...head]),
  groups: networkOf(input, [conv("a", 16), conv("g", 24, { groups: 8 }), groupNorm("gn", 6), conv("m", 48, { groups: 24 }), ...head]),
  concat: networkOf(input, [
    conv("a", 5),
    conv("b", 7, { inputs: ["input"] }),
    concat("cat", "a", "b"),
    batchNorm("bn"),
    conv("c", 9),
    ...head,
  ]),
  "add of a concatenation": networkOf(input, [
    conv("a", 3),
    conv("b", 5, { inputs: ["input"] }),
    concat("cat", "a", "b"),
    conv("c", 8, { inputs: ["input"] }),
    add("sum", "c", "cat"),
    ...head,
  ]),
  "add of the input": networkOf(input, [conv("a", 12), conv("b", 3), add("sum", "b", "input"), conv("c", 12), ...head]),
  "add of flattened images": networkOf(input, [
    conv("a", 8, { stride: [4, 4] }),
    flatten("fa"),
    conv("b", 32, { inputs: ["input"], stride: [8, 8] }),
    flatten("fb"),
    add("sum", "fa", "fb"),
    linear("last", 10),
  ]),
  "convolution at the end": networkOf(input, [conv("a", 16), avgPool("p", [2, 2]), conv("last", 10, pointwise), globalAvgPool("gap")]),
  "sum of two heads": networkOf(input, [
    conv("a", 16),
    globalAvgPool("g"),
    linear("x", 10),
    linear("y0", 8),
    linear("y", 10),
    add("sum", "x", "y"),
  ]),
};
const names = Object.keys(networks);
const own = (layer: Layer): number | undefined =>
  layer.type === "conv2d" ? layer.outChannels : layer.type === "linear" ? layer.outFeatures : undefined;
const widths = (network: Network): Record<string, number> =>
  Object.fromEntries(network.layers.flatMap((layer) => (own(layer) === undefined ? [] : [[layer.name, own(layer) as number]])));

const factor = fc.double({ min: 0.01, max: 3, noNaN: true });

describe("narrow", () => {
  test.each(names)("any factor leaves a valid network: %s", (name) => {
    const network = networks[name] as Network;
    const free = new Set([...widthGroups(network).values()].flat());
    fc.assert(
      fc.property(factor, (c) => {
        const result = narrow(network, c);
        placeLayers(result);
        expect(outputShape(result)).toEqual(outputShape(network));
        expect(result.layers.map((l) => [l.name, l.type, l.inputs])).toEqual(network.layers.map((l) => [l.name, l.type, l.inputs]));
        for (const layer of network.layers) {
          const [before, after] = [own(layer), widths(result)[layer.name]];
          if (before !== undefined && free.has(layer.name)) expect(after, layer.name).toBe(Math.max(1, Math.round(c * before)));
        }
      }),
      { seed: 8, numRuns: 60 },
    );
  });

  test.each(names)("any factors by layer leave a valid network: %s", (name) => {
    const network = networks[name] as Network;
    const free = [...widthGroups(network).values()].flat();
    fc.assert(
      fc.property(fc.array(factor, { minLength: free.length, maxLength: free.length }), (factors) => {
        const result = narrow(network, Object.fromEntries(free.map((layer, i) => [layer, factors[i] as number])));
        placeLayers(result);
        expect(outputShape(result)).toEqual(outputShape(network));
      }),
      { seed: 9, numRuns: 60 },
    );
  });

  test.each(names)("factor 1 changes nothing: %s", (name) => {
    expect(narrow(networks[name] as Network, 1)).toEqual(networks[name]);
    expect(narrow(networks[name] as Network, {})).toEqual(networks[name]);
  });

  test.each(names)("replaces the number of outputs alone: %s", (name) => {
    const network = networks[name] as Network;
    const result = narrow(network, 1, 3);
    expect(outputShape(result)).toEqual({ channels: 3, height: 1, width: 1 });
    const free = new Set([...widthGroups(network).values()].flat());
    for (const [layer, width] of Object.entries(widths(result))) if (free.has(layer)) expect(width, layer).toBe(widths(network)[layer]);
  });

  test("costs fall with the factor", () => {
    const costs = [1, 0.7, 0.5, 0.25, 0.1].map((c) => networkCost(narrow(networks.chain as Network, c)).macs);
    expect([...costs].sort((a, b) => b - a)).toEqual(costs);
  });

  test("a depthwise convolution is as wide as what it reads, with as many groups", () => {
    const result = narrow(networks.depthwise as Network, { a: 0.3 });
    expect(result.layers[1]).toMatchObject({ name: "dw", outChannels: 5, groups: 5 });
    expect(widths(result)).toEqual({ a: 5, dw: 5, pw: 24, last: 10 });
  });

  test("a depthwise convolution of several outputs per channel keeps their number", () => {
    const network = networks["depthwise of two outputs per channel"] as Network;
    const result = narrow(network, { a: 0.3 });
    expect(result.layers[1]).toMatchObject({ name: "dw", outChannels: 10, groups: 5 });
    expect(widths(result)).toEqual({ a: 5, dw: 10, pw: 24, last: 10 });
    expect([...widthGroups(network).keys()]).toEqual(["a", "pw"]);
  });

  test("a depthwise convolution on the input stays", () => {
    expect(narrow(networks["depthwise on the input"] as Network, 0.5).layers[0]).toMatchObject({ outChannels: 3, groups: 3 });
  });

  test("groups shrink to what divides", () => {
    const result = narrow(networks.groups as Network, 0.5);
    expect(result.layers.slice(1, 4)).toMatchObject([{ outChannels: 12, groups: 4 }, { groups: 6 }, { outChannels: 24, groups: 12 }]);
  });

  test("refuses factors that are not positive numbers, and layers without a width of their own", () => {
    const network = networks.residual as Network;
    const thrown = (message: string) => expect.objectContaining({ code: "config", message });
    expect(() => narrow(network, 0)).toThrow(thrown('Width factor of "first" must be positive, got 0.'));
    expect(() => narrow(network, { a: Number.NaN })).toThrow(thrown('Width factor of "a" must be positive, got NaN.'));
    expect(() => narrow(network, Number.POSITIVE_INFINITY)).toThrow(thrown('Width factor of "first" must be positive, got Infinity.'));
    expect(() => narrow(network, { sum: 0.5 })).toThrow(
      thrown('No layer "sum" with a width of its own in "test"; those are first, b, a, c, short.'),
    );
    expect(() => narrow(network, { last: 0.5 })).toThrow(/No layer "last" with a width of its own/);
  });

  test("refuses a number of outputs where no layer decides it", () => {
    const network = networkOf(input, [globalAvgPool("g"), linear("a", 3), linear("b", 3), concat("cat", "a", "b")]);
    expect(() => narrow(network, 1, 4)).toThrow(expect.objectContaining({ code: "network" }));
    expect(outputShape(narrow(network, 0.1)).channels).toBe(6);
  });
});

describe("widthGroups", () => {
  const groups = (name: string): string[][] => [...widthGroups(networks[name] as Network).values()].map((g) => [...g].sort()).sort();
  test("layers that are added share a group; the output has none", () => {
    expect(groups("chain")).toEqual([["a"], ["b"], ["l"]]);
    expect(groups("residual")).toEqual([["a"], ["b", "first"], ["c", "short"]]);
    expect(groups("sum of two heads")).toEqual([["a"], ["y0"]]);
    expect(groups("convolution at the end")).toEqual([["a"]]);
  });
  test("what is added to the input or to a concatenation keeps its width", () => {
    expect(groups("add of the input")).toEqual([["a"], ["c"]]);
    expect(groups("add of a concatenation")).toEqual([]);
    expect(groups("add of flattened images")).toEqual([]);
    expect(groups("concat")).toEqual([["a"], ["b"], ["c"]]);
  });
});

test("scaledWidth rounds and is at least 1", () => {
  expect([scaledWidth(64, 0.28), scaledWidth(3, 0.1), scaledWidth(10, 0.25), scaledWidth(7, 2)]).toEqual([18, 1, 3, 14]);
});
