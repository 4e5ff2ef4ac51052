/** Untrained parts, random images and random statistics for this folder's tests. */
import { initialParameters } from "../compile/initialize.ts";
import type { Dataset } from "../data/dataset.ts";
import { decouple, type Part } from "../decouple/subModel.ts";
import { type ModelName, models } from "../models/table.ts";
import type { NetworkInput } from "../network/network.ts";
import { random } from "../util/random.ts";
import { type Tensor, zeros } from "../util/tensor.ts";
import type { Harvested } from "./harvested.ts";
import type { DeviceStatistics, Moments } from "./statistics.ts";

export const input: NetworkInput = { channels: 3, height: 32, width: 32, mean: [125, 123, 114], std: [63, 62, 67] };
export const classNames: readonly string[] = ["zero", "one", "two", "three", "four", "five"];

/** Three devices with overlapping task sets and widths of their own. */
export const parts: readonly Part[] = [
  { device: "phone", taskSet: [0, 1, 2], widths: 0.5 },
  { device: "board/2", taskSet: [2, 3, 4], widths: 0.3 },
  { device: "server", taskSet: [4, 5], widths: 1 },
];

/** Untrained harvests with batch norm statistics and biases off their initial values, as after training. */
export function untrained(model: ModelName = "tiny", of: readonly Part[] = parts, seed = 3): readonly Harvested[] {
  const target = models[model].build(input, classNames.length);
  return decouple(target, of).map((subModel, d) => {
    const parameters = initialParameters(subModel.network, seed + d);
    const source = random(seed, "shake", d);
    for (const [name, value] of parameters) {
      if (name.endsWith(".weight") && value.shape.length > 1) continue;
      for (let i = 0; i < value.data.length; i++) value.data[i] = (value.data[i] as number) + 0.2 * source.uniform();
    }
    const classCounts = classNames.map((_, c) => (subModel.taskSet.includes(c) ? 100 : 10));
    return { subModel, parameters, ownSamples: 100 * subModel.taskSet.length, backgroundSamples: 0, classCounts };
  });
}

/** Random pixels with labels in turn. */
export function randomDataset(count: number, seed = 1): Dataset {
  const source = random(seed, "dataset");
  const size = input.channels * input.height * input.width;
  return {
    name: "random",
    classNames,
    shape: { channels: input.channels, height: input.height, width: input.width },
    labels: Uint16Array.from({ length: count }, (_, i) => (i * 5) % classNames.length),
    store: { type: "memory", values: Uint8Array.from({ length: count * size }, () => source.below(256)) },
    mean: input.mean,
    std: input.std,
    provenance: { source: "random", sha256: "" },
  };
}

/** All samples of a set as one batch. */
export function imagesOf(dataset: Dataset): Tensor<"float32"> {
  const { channels, height, width } = dataset.shape;
  const image = zeros("float32", [dataset.labels.length, channels, height, width]);
  if (dataset.store.type === "memory") image.data.set(dataset.store.values);
  return image;
}

/** Sums over rows of vectors with labels, computed the plain way. */
export function momentsOf(rows: readonly (readonly number[])[], labels: readonly number[], classCount: number): Moments {
  const width = rows[0]?.length ?? 0;
  const gram = new Float64Array(width * width);
  const sums = new Float64Array(width * classCount);
  rows.forEach((row, n) => {
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) gram[i * width + j]! += row[i]! * row[j]!;
      sums[i * classCount + labels[n]!]! += row[i]!;
    }
  });
  return { width, gram, sums };
}

export function statisticsOf(
  features: readonly (readonly number[])[],
  logProbabilities: readonly (readonly number[])[],
  labels: readonly number[],
  classCount: number,
): DeviceStatistics {
  const counts = new Float64Array(classCount);
  for (const label of labels) counts[label]! += 1;
  return {
    classCount,
    counts,
    features: momentsOf(features, labels, classCount),
    logProbabilities: momentsOf(logProbabilities, labels, classCount),
  };
}

/** Row-major values as rows. */
export function rowsOf(value: Tensor | undefined): number[][] {
  const [count = 0, width = 0] = value?.shape ?? [];
  const data = value?.data as Float32Array;
  return Array.from({ length: count }, (_, n) => Array.from(data.subarray(n * width, (n + 1) * width)));
}

export const argMax = (row: readonly number[]): number => row.indexOf(Math.max(...row));
