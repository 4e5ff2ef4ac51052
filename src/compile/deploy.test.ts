import { describe, expect, it } from "vitest";
import { rulesOf } from "../network/layers/table.ts";
import type { Layer, LayerAttributes, LayerType, Network, NetworkInput } from "../network/network.ts";
import type { Activation } from "../network/rules.ts";
import { placeLayers } from "../network/shapes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { random } from "../util/random.ts";
import { type Tensor, zeros } from "../util/tensor.ts";
import { compileInference, deployNetwork } from "./deploy.ts";
import { initialParameters } from "./initialize.ts";

const input: NetworkInput = { channels: 3, height: 9, width: 8, mean: [120, 110, 100], std: [60, 61, 62] };
const conv = { outChannels: 8, kernel: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1, bias: true } as const;
const pool = { kernel: [3, 2], stride: [2, 1], padding: [1, 0] } as const;

function layer<T extends LayerType>(type: T, name: string, inputs: readonly string[], attributes: LayerAttributes[T]): Layer {
  return { type, name, inputs, ...attributes } as unknown as Layer;
}

/** Every layer type once or more; vectors meet images at `join` and `back`. */
const everything: Network = {
  name: "everything",
  input,
  layers: [
    layer("conv2d", "conv1", ["input"], conv),
    layer("zeroPad", "padded", ["conv1"], { padding: [1, 0, 2, 3] }),
    layer("conv2d", "unpadded", ["padded"], { ...conv, kernel: [4, 4], padding: [0, 0] }),
    layer("batchNorm", "bn1", ["unpadded"], { epsilon: 1e-5, momentum: 0.1 }),
    layer("relu", "relu1", ["bn1"], {}),
    layer("conv2d", "conv2", ["relu1"], { ...conv, groups: 4, bias: false, dilation: [2, 1], padding: [2, 1] }),
    layer("groupNorm", "gn2", ["conv2"], { groups: 2, epsilon: 1e-5 }),
    layer("sigmoid", "sigmoid2", ["gn2"], {}),
    layer("hardSwish", "swish2", ["gn2"], {}),
    layer("leakyRelu", "leaky2", ["gn2"], { slope: 0.2 }),
    layer("clip", "clip2", ["gn2"], { minimum: -0.25, maximum: 0.5 }),
    layer("add", "add", ["sigmoid2", "swish2", "leaky2", "clip2", "relu1"], {}),
    layer("maxPool", "max", ["add"], pool),
    layer("avgPool", "avg", ["add"], { ...pool, countPadding: false }),
    layer("avgPool", "avgPadded", ["add"], { ...pool, countPadding: true }),
    layer("concat", "concat", ["max", "avg", "avgPadded"], {}),
    layer("globalAvgPool", "global", ["concat"], {}),
    layer("flatten", "flat", ["max"], {}),
    layer("linear", "narrow", ["flat"], { outFeatures: 24, bias: false }),
    layer("groupNorm", "gnVector", ["narrow"], { groups: 3, epsilon: 1e-5 }),
    layer("batchNorm", "bnVector", ["gnVector"], { epsilon: 1e-3, momentum: 0.1 }),
    layer("add", "join", ["bnVector", "global"], {}),
    layer("dropout", "drop", ["join"], { probability: 0.5 }),
    layer("flatten", "vector", ["drop"], {}),
    layer("conv2d", "back", ["vector"], { ...conv, outChannels: 7, kernel: [1, 1], padding: [0, 0] }),
    layer("globalAvgPool", "again", ["back"], {}),
    layer("linear", "classifier", ["again"], { outFeatures: 4, bias: true }),
  ],
};
const classNames = ["a", "b", "c", "d"];

/** Parameters off their initial values, so that no bias or statistic is trivially 0 or 1. */
function shakenParameters(network: Network, seed: number): Map<string, Tensor> {
  const parameters = initialParameters(network, seed);
  const source = random(seed, "shake");
  for (const value of parameters.values()) {
    for (let i = 0; i < value.data.length; i++) value.data[i] = (value.data[i] as number) + 0.3 * source.uniform();
  }
  return parameters;
}

function images(count: number, seed: number): Tensor<"float32"> {
  const value = zeros("float32", [count, input.channels, input.height, input.width]);
  const source = random(seed, "images");
  for (let i = 0; i < value.data.length; i++) value.data[i] = source.below(256);
  return value;
}

/** Logits [N, classes] by the layers' training form in evaluation mode, batch innermost. */
async function evaluateTrainingForm(
  network: Network,
  parameters: ReadonlyMap<string, Tensor>,
  image: Tensor<"float32">,
): Promise<number[]> {
  const b = new GraphBuilder();
  const batchSize = image.shape[0] as number;
  const pixels = input.height * input.width;
  const values = new Map<string, Activation>();
  values.set("input", { value: b.input("image", "float32", [input.channels, pixels, batchSize]), shape: input });
  for (const placed of placeLayers(network)) {
    const { layer: own, output } = placed;
    const traced = rulesOf(own).train(
      {
        builder: b,
        dtype: "float32",
        batchSize,
        mode: "evaluate",
        parameter: (name) => b.parameter(`${own.name}.${name}`, parameters.get(`${own.name}.${name}`) as Tensor),
        updateState: () => {},
        uniform: () => {
          throw new Error("evaluation draws no random numbers");
        },
      },
      own,
      own.inputs.map((name) => values.get(name) as Activation),
      output,
    );
    values.set(own.name, traced.output);
  }
  b.output("logits", (values.get(network.layers.at(-1)?.name ?? "") as Activation).value);
  const turned = zeros("float32", [input.channels, pixels, batchSize]);
  for (let n = 0; n < batchSize; n++) {
    for (let c = 0; c < input.channels; c++) {
      for (let p = 0; p < pixels; p++) {
        const raw = image.data[(n * input.channels + c) * pixels + p] as number;
        turned.data[(c * pixels + p) * batchSize + n] = (raw - (input.mean[c] as number)) / (input.std[c] as number);
      }
    }
  }
  await using session = await openSession(writeOnnx(b.build("evaluate")));
  const { logits } = await session.run({ image: turned });
  const data = logits?.data as Float32Array;
  const classes = data.length / batchSize;
  return Array.from({ length: data.length }, (_, i) => data[(i % classes) * batchSize + Math.floor(i / classes)] as number);
}

describe("deployable form", () => {
  it("gives the outputs of the training form, for every layer type and batch sizes 1 and 7 with one model", async () => {
    const parameters = shakenParameters(everything, 5);
    await using session = await openSession(writeOnnx(compileInference(everything, parameters, { classNames }), { batchAxis: "N" }));
    for (const batchSize of [1, 7]) {
      const image = images(batchSize, batchSize);
      const expected = await evaluateTrainingForm(everything, parameters, image);
      const { logits, probabilities } = await session.run({ image });
      expect(logits?.shape).toEqual([batchSize, 4]);
      const scale = Math.max(...expected.map(Math.abs));
      const worst = Math.max(...expected.map((v, i) => Math.abs(v - Number(logits?.data[i]))));
      expect(worst / scale).toBeLessThan(1e-5);
      for (let n = 0; n < batchSize; n++) {
        const row = Array.from(probabilities?.data as Float32Array).slice(4 * n, 4 * n + 4);
        expect(row.reduce((a, v) => a + v, 0)).toBeCloseTo(1, 5);
      }
    }
  });

  it("names parameters by layer, with the prefix, and stops after the layer asked for", () => {
    const b = new GraphBuilder();
    const image = b.input("image", "float32", [1, 3, 9, 8]);
    const { output, activations } = deployNetwork(b, everything, image, shakenParameters(everything, 1), { prefix: "phone", upTo: "bn1" });
    b.output("out", output);
    const graph = b.build("part");
    expect([...graph.initializers.keys()]).toEqual(expect.arrayContaining(["phone/conv1.weight", "phone/bn1.running_var"]));
    expect([...graph.initializers.keys()].filter((name) => name.includes("conv2"))).toEqual([]);
    expect([...activations.keys()]).toEqual(["input", "conv1", "padded", "unpadded", "bn1"]);
  });

  it("refuses missing parameters, wrong shapes, unknown layers and the wrong number of class names", () => {
    const parameters = shakenParameters(everything, 1);
    const without = new Map(parameters);
    without.delete("conv2.weight");
    expect(() => compileInference(everything, without, { classNames })).toThrow(/needs parameter "conv2.weight"/);
    const wrong = new Map(parameters).set("bn1.bias", zeros("float32", [9]));
    expect(() => compileInference(everything, wrong, { classNames })).toThrow(/must have shape \[8\], got \[9\]/);
    expect(() => compileInference(everything, parameters, { classNames: ["a"] })).toThrow(/4 values per sample but 1 class names/);
    const b = new GraphBuilder();
    const image = b.input("image", "float32", [1, 3, 9, 8]);
    expect(() => deployNetwork(b, everything, image, parameters, { upTo: "nowhere" })).toThrow(/no layer "nowhere"/);
  });
});
