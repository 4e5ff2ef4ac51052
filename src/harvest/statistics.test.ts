import { describe, expect, it } from "vitest";
import type { Dataset } from "../data/dataset.ts";
import { openMemorySamples } from "../data/samples.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import { type Tensor, tensor } from "../util/tensor.ts";
import { branchGraph } from "./globalModel.ts";
import { classNames, imagesOf, randomDataset, rowsOf, statisticsOf, untrained } from "./parts.fixture.ts";
import {
  addStatistics,
  type DeviceStatistics,
  decodeStatistics,
  emptyStatistics,
  encodeStatistics,
  momentKinds,
  statisticsBytes,
} from "./statistics.ts";
import { compileStatistics, computeStatistics } from "./statisticsPass.ts";

const harvested = untrained();
const classes = classNames.length;
const dataset = randomDataset(21);
const everySample = Array.from({ length: 21 }, (_, i) => i);

async function compute(samples: readonly number[], batchSize = 8, set: Dataset = dataset): Promise<DeviceStatistics> {
  const program = compileStatistics(harvested, classes, batchSize);
  await using session = await openSession(writeOnnx(program.graph));
  return await computeStatistics(session, program, openMemorySamples(set), samples);
}

/** Greatest difference of two sets of statistics, relative to the greatest value of each part. */
function difference(a: DeviceStatistics, b: DeviceStatistics): number {
  const relative = (x: Float64Array, y: Float64Array): number => {
    const scale = Math.max(...x.map(Math.abs));
    return Math.max(...x.map((v, i) => Math.abs(v - y[i]!))) / scale;
  };
  const arrays = momentKinds.flatMap((kind) => [relative(a[kind].gram, b[kind].gram), relative(a[kind].sums, b[kind].sums)]);
  return Math.max(relative(a.counts, b.counts), ...arrays);
}

describe("the statistics pass", () => {
  it("gives the sums of the branches' outputs over the samples, whatever the batch size, padding excluded", async () => {
    await using session = await openSession(writeOnnx(branchGraph(harvested), { batchAxis: "N" }));
    const { features, logProbabilities } = await session.run({ image: imagesOf(dataset) });
    const expected = statisticsOf(rowsOf(features), rowsOf(logProbabilities), [...dataset.labels], classes);
    for (const batchSize of [4, 8, 32]) expect(difference(expected, await compute(everySample, batchSize))).toBeLessThan(1e-6);
  });

  it("adds: parts of the samples sum to the whole", async () => {
    const whole = await compute(everySample);
    const split = [everySample.slice(0, 5), everySample.slice(5, 6), everySample.slice(6)];
    let sum = emptyStatistics(classes, { features: whole.features.width, logProbabilities: whole.logProbabilities.width });
    for (const samples of split) sum = addStatistics(sum, await compute(samples));
    expect(sum.counts).toEqual(whole.counts);
    expect(difference(whole, sum)).toBeLessThan(1e-6);
  });

  it("gives the same bytes again, symmetric to the bit", async () => {
    const first = await compute(everySample);
    expect(encodeStatistics(await compute(everySample))).toEqual(encodeStatistics(first));
    const { gram, width } = first.features;
    for (let i = 0; i < width; i++) for (let j = 0; j < i; j++) expect(gram[i * width + j]).toBe(gram[j * width + i]);
  });

  it("refuses labels out of range, broken branches and an aborted signal", async () => {
    await expect(compute([0], 8, { ...dataset, labels: Uint16Array.of(6) })).rejects.toThrow(/Sample 0 of random has label 6/);
    await expect(compute([99])).rejects.toThrow(/Sample 99 of random has label undefined/);
    const broken = untrained().map((h) => ({
      ...h,
      parameters: new Map(
        [...h.parameters].map(([name, v]) => [name, name === "bn1.bias" ? { ...v, data: new Float32Array(v.data.length).fill(3e38) } : v]),
      ) as Map<string, Tensor>,
    }));
    const program = compileStatistics(broken, classes, 4);
    await using session = await openSession(writeOnnx(program.graph));
    await expect(computeStatistics(session, program, openMemorySamples(dataset), [0])).rejects.toThrow(/not finite/);
    await expect(
      computeStatistics(session, program, openMemorySamples(dataset), [0], { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({
      code: "interrupted",
    });
  });
});

describe("statistics as a file", () => {
  const widths = { features: 3, logProbabilities: 2 };
  const sample = statisticsOf(
    [
      [1, 2, 3],
      [0.1, -2, 5],
    ],
    [
      [-1, -2],
      [-0.3, -4],
    ],
    [0, 1],
    2,
  );

  it("comes back as it went, and takes the bytes it is said to take", () => {
    const bytes = encodeStatistics(sample);
    expect(decodeStatistics(bytes, "the upload")).toEqual(sample);
    expect(statisticsBytes(widths, 2)).toBe(8 * (6 + 6 + 3 + 4 + 2));
    expect(bytes.length - statisticsBytes(widths, 2)).toBeLessThan(1000);
    expect(bytes.length).toBeGreaterThan(statisticsBytes(widths, 2));
  });

  it.each<[string, string, Tensor | undefined, RegExp]>([
    ["a missing part", "features.gram", undefined, /"features.gram" is missing/],
    ["float32", "counts", tensor("float32", [2], new Float32Array(2)), /"counts" is of type float32/],
    [
      "a square instead of a triangle",
      "features.gram",
      tensor("float64", [9], new Float64Array(9)),
      /"features.gram" has shape \[9\], expected \[6\]/,
    ],
    ["NaN", "logProbabilities.sums", tensor("float64", [2, 2], new Float64Array(4).fill(Number.NaN)), /not finite/],
    ["negative counts", "counts", tensor("float64", [2], Float64Array.of(-1, 2)), /negative number of samples/],
    ["negative squares", "logProbabilities.gram", tensor("float64", [3], Float64Array.of(-1, 2, 2)), /negative sum of squares at 0/],
  ])("refuses %s", (_, name, value, reason) => {
    const tensors = new Map<string, Tensor>([
      ["counts", tensor("float64", [2], sample.counts)],
      ["features.gram", tensor("float64", [6], new Float64Array(6))],
      ["features.sums", tensor("float64", [3, 2], sample.features.sums)],
      ["logProbabilities.gram", tensor("float64", [3], new Float64Array(3))],
      ["logProbabilities.sums", tensor("float64", [2, 2], sample.logProbabilities.sums)],
    ]);
    expect(() => decodeStatistics(encodeSafetensors(tensors), "the upload")).not.toThrow();
    if (value) tensors.set(name, value);
    else tensors.delete(name);
    expect(() => decodeStatistics(encodeSafetensors(tensors), "the upload")).toThrow(reason);
  });

  it("does not add what came from other branches", () => {
    expect(() => addStatistics(sample, emptyStatistics(2, { ...widths, features: 4 }))).toThrow(/both must come from the same branches/);
    expect(() => addStatistics(sample, emptyStatistics(3, widths))).toThrow(/both must come from the same branches/);
  });
});
