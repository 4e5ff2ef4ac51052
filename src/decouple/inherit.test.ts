import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { add, batchNorm, concat, conv, flatten, inputOf, linear, networkOf, relu } from "../../test/support/networks.ts";
import { compileInference } from "../compile/deploy.ts";
import { initialParameters } from "../compile/initialize.ts";
import { buildModel, type ModelName, models } from "../models/table.ts";
import { widthGroups } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { random } from "../util/random.ts";
import { floats, type Tensor, zeros } from "../util/tensor.ts";
import { filterChooser } from "./chooseFilters.ts";
import type { ClassActivation } from "./classActivation.ts";
import { inheritParameters } from "./inherit.ts";
import { part, planted, tangled } from "./planted.fixture.ts";

/** Parameters off their initial values, running statistics included. */
function shaken(network: Network, seed = 1): Map<string, Tensor> {
  const parameters = initialParameters(network, seed);
  const source = random(seed, "shake");
  for (const { data } of parameters.values()) for (let i = 0; i < data.length; i++) data[i] = Number(data[i]) + 0.1 * source.uniform();
  return parameters;
}

/** Activations drawn at random, as if measured. */
function drawn(network: Network, classes: number, seed = 1): ClassActivation {
  const source = random(seed, "activation");
  const widths = new Map(placeLayers(network).map(({ layer, output }) => [layer.name, output.channels]));
  const layers = [...widthGroups(network).values()].flat().map((name) => {
    const shape = [classes, widths.get(name) ?? 0];
    return [
      name,
      floats(
        "float64",
        shape,
        Array.from({ length: shape[0]! * shape[1]! }, () => source.uniform()),
      ),
    ] as const;
  });
  return { layers: Object.fromEntries(layers), counts: Array(classes).fill(10), samples: 10 * classes };
}

async function logitsOf(network: Network, parameters: ReadonlyMap<string, Tensor>, image: Tensor<"float32">): Promise<number[][]> {
  const classes = placeLayers(network).at(-1)?.output.channels ?? 0;
  const classNames = Array.from({ length: classes }, (_, c) => `${c}`);
  await using session = await openSession(writeOnnx(compileInference(network, parameters, { classNames }), { batchAxis: "N" }));
  const { logits } = await session.run({ image });
  const data = Array.from(logits?.data as Float32Array);
  return Array.from({ length: data.length / classes }, (_, n) => data.slice(n * classes, (n + 1) * classes));
}

function images({ input: { channels, height, width } }: Network, count: number): Tensor<"float32"> {
  const image = zeros("float32", [count, channels, height, width]);
  const source = random(4, "images");
  for (let i = 0; i < image.data.length; i++) image.data[i] = source.uniform();
  return image;
}

const targets: readonly (readonly [string, (classes: number) => Network])[] = [
  ...Object.keys(models).map(
    (name) => [name, (classes: number) => buildModel(name as ModelName, inputOf(3, 32, 32), classes, 0.125)] as const,
  ),
  ["tangled", tangled],
];

describe.each(targets)("starting weights from %s", (_name, build) => {
  it("fit every sub-model", () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 6 })
          .chain((classes) => fc.tuple(fc.constant(classes), fc.uniqueArray(fc.nat(classes - 1), { minLength: 1 }))),
        fc.double({ min: 0.02, max: 1, noNaN: true }),
        ([classes, taskSet], width) => {
          const target = build(classes);
          const subModel = part(target, taskSet, width);
          const choice = filterChooser(target, { type: "activation", activation: drawn(target, classes) })(subModel);
          for (const chosen of Object.values(choice)) expect([...new Set(chosen)].sort((a, b) => a - b)).toEqual([...chosen]);
          const start = inheritParameters(target, shaken(target), subModel, choice);
          const shapes = [...start].map(([name, { shape }]) => [name, shape]);
          expect(shapes).toEqual([...initialParameters(subModel.network, 1)].map(([name, { shape }]) => [name, shape]));
        },
      ),
      { numRuns: 4, seed: 1 },
    );
  });

  it("give the target's logits where every filter and class is taken", async () => {
    const target = build(5);
    const parameters = shaken(target);
    const subModel = part(target, [0, 1, 2, 3, 4], 1);
    const start = inheritParameters(
      target,
      parameters,
      subModel,
      filterChooser(target, { type: "activation", activation: drawn(target, 5) })(subModel),
    );
    const image = images(target, 3);
    const [expected, got] = [await logitsOf(target, parameters, image), await logitsOf(subModel.network, start, image)];
    const scale = Math.max(...expected.flat().map(Math.abs));
    for (const [n, row] of expected.entries()) {
      for (const [c, logit] of row.entries()) expect(Math.abs(got[n]![c]! - logit) / scale).toBeLessThan(1e-5);
      expect(got[n]![5]! / scale).toBeCloseTo(row.reduce((a, b) => a + b, 0) / 5 / scale, 4);
    }
  });
});

describe("inheritParameters", () => {
  it("leaves out what is not chosen, and nothing else, through sums, concatenations and flattened pixels", async () => {
    const target = networkOf(inputOf(2, 4, 4), [
      conv("a", 6),
      relu("r"),
      conv("b", 6),
      add("sum", "r", "b"),
      conv("depthwise", 6, { groups: 6 }),
      batchNorm("bn"),
      conv("c", 8),
      concat("both", "c", "bn"),
      flatten("flat"),
      linear("classifier", 4),
    ]);
    const parameters = shaken(target);
    const choice = { a: Uint32Array.of(1, 3, 4), b: Uint32Array.of(1, 3, 4), c: Uint32Array.of(0, 2, 5, 7) };
    const silence = (layer: string, kept: Uint32Array): void => {
      for (const name of ["weight", "bias", "running_mean"]) {
        const value = parameters.get(`${layer}.${name}`);
        const [rows = 1] = value?.shape ?? [];
        value?.data.forEach((_, i) => {
          if (!kept.includes(Math.floor((i * rows) / value.data.length))) value.data[i] = 0;
        });
      }
    };
    for (const [layer, kept] of Object.entries({ ...choice, depthwise: choice.a, bn: choice.a })) silence(layer, kept);
    const subModel = part(target, [1, 3], 0.5);
    const start = inheritParameters(target, parameters, subModel, choice);
    const image = images(target, 2);
    const [expected, got] = [await logitsOf(target, parameters, image), await logitsOf(subModel.network, start, image)];
    for (const [n, row] of expected.entries()) {
      const wanted = [row[1]!, row[3]!, (row[0]! + row[2]!) / 2 + Math.log(2)];
      for (const [c, logit] of wanted.entries()) expect(got[n]![c]).toBeCloseTo(logit, 3);
    }
  });

  it("connects in a regrouped convolution what the target connects, and nothing else", () => {
    const target = tangled(3);
    const subModel = part(target, [0], 0.5);
    const choice = filterChooser(target, { type: "position" })(subModel);
    const parameters = shaken(target);
    const start = inheritParameters(target, parameters, subModel, choice).get("grouped.weight") as Tensor;
    const [outputs = 0, inputs = 0] = start.shape;
    const slim = subModel.network.layers.find(({ name }) => name === "grouped");
    const groups = slim?.type === "conv2d" ? slim.groups : 0;
    expect([outputs, inputs, groups]).toEqual([10, 3, 2]);
    const source = parameters.get("grouped.weight") as Tensor;
    for (let o = 0; o < outputs; o++) {
      for (let k = 0; k < inputs; k++) {
        const [output, input] = [choice.grouped?.[o] ?? 0, choice.a?.[Math.floor(o / (outputs / groups)) * inputs + k] ?? 0];
        // The target reads in four groups of 3 inputs and 5 outputs.
        const connected = Math.floor(input / 3) === Math.floor(output / 5);
        const expected = connected ? Number(source.data[(output * 3 + (input % 3)) * 9 + 4]) : 0;
        expect(start.data[(o * inputs + k) * 9 + 4]).toBe(expected);
      }
    }
  });

  it("refuses weights and choices of another network, and sub-models wider than the target", () => {
    const target = tangled(3);
    const subModel = part(target, [0], 0.5);
    const choice = filterChooser(target, { type: "position" })(subModel);
    const parameters = shaken(target);
    const without = new Map(parameters);
    without.delete("b.weight");
    expect(() => inheritParameters(target, without, subModel, choice)).toThrow(/"b.weight" of target "test" must have shape .*is missing/);
    const wrong = new Map(parameters).set("b.bias", zeros("float32", [13]));
    expect(() => inheritParameters(target, wrong, subModel, choice)).toThrow(/"b.bias".*\[12\], but has shape \[13\]/);
    expect(() => inheritParameters(target, parameters, part(target, [0], 0.6), choice)).toThrow(
      /"a" .* has 7 channels, but filters were chosen for 6/,
    );
    expect(() => filterChooser(target, { type: "position" })(part(target, [0], 1.5))).toThrow(/has 18 filters, the target's has 12/);
    expect(() => filterChooser(target, { type: "activation", activation: drawn(planted, 3) })(subModel)).toThrow(
      /Layer "a" of target "test" has 12 filters, the class activation 8/,
    );
  });
});
