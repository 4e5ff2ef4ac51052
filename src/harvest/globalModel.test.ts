import { beforeAll, describe, expect, it } from "vitest";
import { asRows, deployNetwork } from "../compile/deploy.ts";
import { initialParameters } from "../compile/initialize.ts";
import { decouple } from "../decouple/subModel.ts";
import { readAudioMetadata } from "../features/audioInput.ts";
import { openExtractor } from "../features/extract.ts";
import { defaultAudioFeatures } from "../features/features.ts";
import { type ModelName, models } from "../models/table.ts";
import { networkCost } from "../network/shapes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import { readOnnx } from "../onnx/read.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { random } from "../util/random.ts";
import { sizeOf, type Tensor, tensor, zeros } from "../util/tensor.ts";
import { assembleGlobal, branchGraph, globalCost } from "./globalModel.ts";
import { type Harvested, layOut } from "./harvested.ts";
import type { Head } from "./heads.ts";
import { freeHead } from "./logProbabilityHeads.ts";
import { argMax, classNames, imagesOf, input, parts, randomDataset, rowsOf, untrained } from "./parts.fixture.ts";

const image = imagesOf(randomDataset(7));

async function run(graph: Graph, images: Tensor = image): Promise<Record<string, Tensor>> {
  await using session = await openSession(writeOnnx(graph, { batchAxis: "N" }));
  return await session.run({ image: images });
}

/** log softmax in float64. */
function logSoftmax(row: readonly number[]): number[] {
  const top = Math.max(...row);
  const total = Math.log(row.reduce((sum, v) => sum + Math.exp(v - top), 0));
  return row.map((v) => v - top - total);
}

/** A part exported by itself, with nothing of this folder but the names of what is compared. */
function deployedAlone({ subModel: { network }, parameters }: Harvested): Graph {
  const b = new GraphBuilder();
  const { output, activations } = deployNetwork(b, network, b.input("image", "float32", [1, ...image.shape.slice(1)]), parameters);
  b.output("features", asRows(b, activations.get(network.layers.at(-1)?.inputs[0] ?? "") as Value));
  b.output("logProbabilities", b.op("LogSoftmax", [output], { axis: 1 }));
  return b.build("alone");
}

const featureHead = (columns: number): Head => {
  const weight = zeros("float32", [classNames.length, columns]);
  weight.data.forEach((_, i) => {
    weight.data[i] = Math.sin(i);
  });
  return { type: "H2", on: "features", weight, bias: zeros("float32", [classNames.length]) };
};

describe("branches side by side", () => {
  it.each<ModelName>(["tiny", "vgg11", "alexnet", "resnet18", "kws-alexnet", "kws-vgg", "ds-cnn"])(
    "give bit for bit what each part of %s gives alone",
    async (model) => {
      const harvested = untrained(
        model,
        parts.map((p) => ({ ...p, widths: Number(p.widths) / 8 })),
      );
      const layout = layOut(harvested.map((h) => h.subModel));
      const all = await run(branchGraph(harvested));
      expect(all.features?.shape).toEqual([7, layout.features]);
      const features = rowsOf(all.features);
      const logProbabilities = rowsOf(all.logProbabilities);
      for (const [d, part] of harvested.entries()) {
        const alone = await run(deployedAlone(part));
        const [start, end] = layout.branches[d]!.features;
        expect(features.map((row) => row.slice(start, end))).toEqual(rowsOf(alone.features));
        const [first, last] = layout.branches[d]!.logProbabilities;
        expect(logProbabilities.map((row) => row.slice(first, last))).toEqual(rowsOf(alone.logProbabilities));
      }
    },
  );

  it("refuses no part, a device twice, and another image size", () => {
    const [first, second] = untrained();
    expect(() => branchGraph([])).toThrow(/at least one/);
    expect(() => branchGraph([first!, first!])).toThrow(/"phone" has two sub-models/);
    const other = {
      ...second!.subModel,
      network: { ...second!.subModel.network, input: { ...second!.subModel.network.input, height: 16 } },
    };
    expect(() => branchGraph([first!, { ...second!, subModel: other }])).toThrow(/"board\/2" reads 3x16x32 images/);
  });
});

describe("global model", () => {
  const harvested = untrained();
  const subModels = harvested.map((h) => h.subModel);
  const head = freeHead(subModels, classNames.length);
  let branches: Record<string, Tensor>;
  beforeAll(async () => {
    branches = await run(branchGraph(harvested));
  });

  it("applies H0: a sum of log p(own class) or log p(other)", async () => {
    const { logits, probabilities } = await run(assembleGlobal(harvested, head, { classNames }));
    const expected = rowsOf(branches.logProbabilities).map((row) =>
      classNames.map((_, c) => {
        // Columns: phone 0 1 2 other, board 2 3 4 other, server 4 5 other.
        const columns = [c <= 2 ? c : 3, c >= 2 && c <= 4 ? c + 2 : 7, c >= 4 ? c + 4 : 10];
        return columns.reduce((sum, i) => sum + row[i]!, 0);
      }),
    );
    rowsOf(logits).forEach((row, n) => {
      row.forEach((v, c) => {
        expect(v).toBeCloseTo(expected[n]![c]!, 4);
      });
    });
    rowsOf(probabilities).forEach((row, n) => {
      row.forEach((v, c) => {
        expect(v).toBeCloseTo(Math.exp(logSoftmax(expected[n]!)[c]!), 4);
      });
    });
  });

  it("applies a head on features and then carries no final layers of the branches", async () => {
    const columns = layOut(subModels).features;
    const graph = assembleGlobal(harvested, featureHead(columns), { classNames });
    expect([...graph.initializers.keys()].filter((name) => name.includes("classifier"))).toEqual([]);
    const { logits } = await run(graph);
    const weight = featureHead(columns).weight.data;
    rowsOf(branches.features).forEach((row, n) => {
      classNames.forEach((_, c) => {
        const expected = row.reduce((sum, v, i) => sum + v * weight[c * columns + i]!, 0);
        expect(rowsOf(logits)[n]![c]).toBeCloseTo(expected, 4);
      });
    });
  });

  it("runs with batch 1 and 7, each sample by itself", async () => {
    const graph = assembleGlobal(harvested, head, { classNames });
    const all = rowsOf((await run(graph)).logits);
    const size = sizeOf(image.shape.slice(1));
    const third = { ...image, shape: [1, ...image.shape.slice(1)], data: image.data.slice(2 * size, 3 * size) };
    const [one] = rowsOf((await run(graph, third)).logits);
    expect(one).toHaveLength(classNames.length);
    one!.forEach((v, c) => {
      expect(v).toBeCloseTo(all[2]![c]!, 4);
    });
  });

  it("says in its metadata what it is", () => {
    const graph = assembleGlobal(harvested, head, { classNames, version: "1.2.3", metadata: { run: "r1" } });
    const { metadata } = readOnnx(writeOnnx(graph, { batchAxis: "N" }));
    expect(JSON.parse(metadata.classNames ?? "")).toEqual(classNames);
    expect(JSON.parse(metadata.branches ?? "")).toEqual(parts.map(({ device, taskSet }) => ({ device, taskSet })));
    expect(metadata).toMatchObject({ head: "H0", sheafVersion: "1.2.3", run: "r1" });
  });

  it("with a front end takes raw audio, whose features all branches share", async () => {
    const samples = 31 * 160 + 640;
    const audio = { features: { ...defaultAudioFeatures, hopMs: 10, melBands: 32 }, samples };
    const grey = { ...input, channels: 1, mean: [-6], std: [4] };
    const target = decouple(models.tiny.build(grey, classNames.length), parts);
    const heard = harvested.map((h, d) => ({ ...h, subModel: target[d]!, parameters: initialParameters(target[d]!.network, d) }));
    const graph = assembleGlobal(heard, head, { classNames, audio });
    expect(graph.nodes.filter((node) => node.op === "Log")).toHaveLength(1);
    expect(readAudioMetadata(graph.metadata, "model")).toEqual(audio);

    const source = random(1, "waves");
    const waves = Float32Array.from({ length: 3 * samples }, () => 0.1 * source.normal());
    const extractor = openExtractor(audio.features, samples);
    const features = zeros("float32", [3, 1, 32, 32]);
    for (const n of [0, 1, 2])
      extractor.extract(waves.subarray(n * samples, (n + 1) * samples), features.data.subarray(n * 1024, (n + 1) * 1024));
    await using session = await openSession(writeOnnx(graph, { batchAxis: "N" }));
    const heardLogits = (await session.run({ audio: tensor("float32", [3, samples], waves) })).logits;
    const expected = rowsOf((await run(assembleGlobal(heard, head, { classNames }), features)).logits).flat();
    rowsOf(heardLogits)
      .flat()
      .forEach((v, i) => {
        expect(Math.abs(v - expected[i]!)).toBeLessThan(1e-3);
      });
    expect(() => assembleGlobal(harvested, head, { classNames, audio })).toThrow(
      /reads 3x32x32 values, but the audio features of a clip are 1x32x32/,
    );
  });

  it("writes the same bytes from the same parts", () => {
    const bytes = () => writeOnnx(assembleGlobal(untrained(), head, { classNames }), { batchAxis: "N" });
    expect(bytes()).toEqual(bytes());
  });

  it("of one device that owns all classes decides as that device does", async () => {
    const alone = untrained("tiny", [{ device: "only", taskSet: classNames.map((_, c) => c), widths: 0.5 }]);
    const own = rowsOf((await run(branchGraph(alone))).logProbabilities).map((row) => row.slice(0, -1));
    const { logits, probabilities } = await run(assembleGlobal(alone, freeHead([alone[0]!.subModel], classNames.length), { classNames }));
    expect(rowsOf(logits)).toEqual(own);
    rowsOf(probabilities).forEach((row, n) => {
      expect(argMax(row)).toBe(argMax(own[n]!));
      const total = own[n]!.reduce((sum, v) => sum + Math.exp(v), 0);
      row.forEach((v, c) => {
        expect(v).toBeCloseTo(Math.exp(own[n]![c]!) / total, 5);
      });
    });
  });

  it("refuses a head made for other branches or another number of classes", () => {
    expect(() => assembleGlobal(harvested.slice(1), head, { classNames })).toThrow(/reads 11 logProbabilities, but the branches give 7/);
    expect(() => assembleGlobal(harvested, head, { classNames: ["a"] })).toThrow(/6 classes, but 1 class names/);
  });

  it("costs what its nodes cost", () => {
    for (const on of ["features", "logProbabilities"] as const) {
      const columns = layOut(subModels)[on];
      const graph = assembleGlobal(harvested, on === "features" ? featureHead(columns) : head, { classNames });
      const trained = [...graph.initializers].filter(([name]) => /\.(weight|bias)$|^head\//.test(name));
      expect(globalCost(subModels, on, classNames.length).parameters).toBe(trained.reduce((sum, [, v]) => sum + v.data.length, 0));
    }
    const branchMacs = subModels.reduce((sum, s) => sum + networkCost(s.network).macs, 0);
    expect(globalCost(subModels, "logProbabilities", classNames.length).macs).toBe(branchMacs + 6 * 11);
  });
});
