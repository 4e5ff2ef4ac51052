import { describe, expect, test } from "vitest";
import { runGraph } from "../../test/support/session.ts";
import { compileInference } from "../compile/deploy.ts";
import { initialParameters } from "../compile/initialize.ts";
import { defaultAudioFeatures, featureShape } from "../features/features.ts";
import { assembleGlobal } from "../harvest/globalModel.ts";
import type { Head } from "../harvest/heads.ts";
import { freeHead } from "../harvest/logProbabilityHeads.ts";
import { classNames, input, untrained } from "../harvest/parts.fixture.ts";
import { type ModelName, models } from "../models/table.ts";
import { narrow } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { outputShape } from "../network/shapes.ts";
import type { Graph } from "../onnx/graph.ts";
import { writeOnnx } from "../onnx/write.ts";
import { checkImport } from "../run/importFile.ts";
import { random } from "../util/random.ts";
import { floats, type Tensor, zeros } from "../util/tensor.ts";
import { importNetwork } from "./importNetwork.ts";

/** Weights off their initial values, as after training. */
function shaken(network: Network, seed: number): Map<string, Tensor> {
  const parameters = initialParameters(network, seed);
  const source = random(seed, "shaken");
  for (const value of parameters.values()) {
    for (let i = 0; i < value.data.length; i++) value.data[i] = (value.data[i] as number) + 0.1 * source.uniform();
  }
  return parameters;
}

function images({ channels, height, width }: Network["input"], count = 2): Tensor<"float32"> {
  const source = random(5, "images");
  const image = zeros("float32", [count, channels, height, width]);
  for (let i = 0; i < image.data.length; i++) image.data[i] = source.below(256);
  return image;
}

const namesFor = (network: Network): readonly string[] => Array.from({ length: outputShape(network).channels }, (_, i) => `c${i}`);
const logitsOf = async (graph: Graph, image: Tensor): Promise<unknown> =>
  (await runGraph(graph, new Map([["image", image]]), { batchAxis: "N" })).get("logits")?.data;

/** Exports, imports and exports again; gives both outputs. */
async function throughImport(graph: Graph): Promise<{ before: unknown; after: unknown; imported: ReturnType<typeof importNetwork> }> {
  const imported = importNetwork(writeOnnx(graph, { batchAxis: "N" }), { what: "export.onnx" });
  const image = images(imported.network.input);
  const again = compileInference(imported.network, imported.parameters, { classNames: namesFor(imported.network) });
  return { before: await logitsOf(graph, image), after: await logitsOf(again, image), imported };
}

describe("export then import", () => {
  for (const name of Object.keys(models) as ModelName[]) {
    test(`of ${name} keeps every output, weight and layer name`, async () => {
      const target = models[name].build(input, classNames.length);
      const network = narrow(target, 0.1);
      const parameters = shaken(network, 7);
      const { before, after, imported } = await throughImport(compileInference(network, parameters, { classNames }));
      expect(after).toEqual(before);
      expect(imported.classNames).toEqual(classNames);
      for (const [c, mean] of imported.network.input.mean.entries()) expect(mean).toBeCloseTo(network.input.mean[c] as number, 4);
      // Dropout is not deployed, and flattening one pixel is nothing.
      const kept = (layers: Network["layers"]): string[] =>
        layers.filter((l) => l.type !== "dropout" && l.type !== "flatten").map((l) => `${l.type} ${l.name}`);
      expect(kept(imported.network.layers)).toEqual(kept(network.layers));
      for (const [key, value] of parameters) expect(imported.parameters.get(key)?.data, key).toEqual(value.data);
    });
  }

  test("of a device's sub-model", async () => {
    const [part] = untrained("tiny");
    if (!part) throw new Error("no part");
    const names = namesFor(part.subModel.network);
    const { before, after } = await throughImport(compileInference(part.subModel.network, part.parameters, { classNames: names }));
    expect(after).toEqual(before);
  });

  test("of the global model with a head on features", async () => {
    const harvested = untrained("tiny");
    const features = harvested.reduce((sum, h) => sum + (h.subModel.network.layers.at(-2) ? featureCount(h.subModel.network) : 0), 0);
    const source = random(1, "head");
    const values = (length: number): number[] => Array.from({ length }, () => source.normal());
    const head: Head = {
      type: "H2",
      on: "features",
      weight: floats("float32", [classNames.length, features], values(classNames.length * features)),
      bias: floats("float32", [classNames.length], values(classNames.length)),
    };
    const { before, after, imported } = await throughImport(assembleGlobal(harvested, head, { classNames }));
    expect(after).toEqual(before);
    expect(imported.network.layers.some((l) => l.name.startsWith("board_2_"))).toBe(true);
    // The image is normalized once for all branches, not by a layer in each.
    expect(imported.network.input.mean[0]).toBeCloseTo(input.mean[0] as number, 4);
    expect(imported.network.layers.filter((l) => l.type === "conv2d").length).toBe(2 * harvested.length);
  });

  test("of a model with an audio front end leaves the front end out and says what it is", async () => {
    const audio = { features: { ...defaultAudioFeatures, type: "mfcc" as const, coefficients: 13 }, samples: 8000 };
    const { channels, height, width } = featureShape(audio.features, audio.samples);
    const network = models["ds-cnn"].build({ channels, height, width, mean: [-3], std: [2] }, classNames.length);
    const parameters = shaken(narrow(network, 0.2), 3);
    const bytes = writeOnnx(compileInference(narrow(network, 0.2), parameters, { classNames, audio }), { batchAxis: "N" });
    const imported = importNetwork(bytes, { what: "kws.onnx" });
    expect(imported.audio).toEqual(audio);
    expect(imported.network.input).toMatchObject({ channels, height, width });
    expect(imported.network.layers.filter((l) => l.type === "conv2d")).toHaveLength(
      network.layers.filter((l) => l.type === "conv2d").length,
    );
    expect((await checkImport(bytes, imported)).maxDifference).toBe(0);
  });

  test("of the global model with a head on log-probabilities is refused by name", () => {
    const harvested = untrained("tiny");
    const graph = assembleGlobal(
      harvested,
      freeHead(
        harvested.map((h) => h.subModel),
        classNames.length,
      ),
      { classNames },
    );
    expect(() => importNetwork(writeOnnx(graph, { batchAxis: "N" }), { what: "H0.onnx" })).toThrow(
      /H0\.onnx cannot be imported: 3 of its \d+ nodes cannot be read: node "phone\/logProbabilities" \(LogSoftmax\) stands in the middle/,
    );
  });
});

/** Inputs of a sub-model's last layer. */
function featureCount(network: Network): number {
  const { layers } = network;
  return outputShape({ ...network, layers: layers.slice(0, -1) }).channels;
}
