import {
  add,
  avgPool,
  batchNorm,
  concat,
  conv,
  flatten,
  groupNorm,
  inputOf,
  linear,
  maxPool,
  networkOf,
  relu,
} from "../../test/support/networks.ts";
import { compileActivations } from "../compile/activations.ts";
import { initialParameters } from "../compile/initialize.ts";
import type { Dataset } from "../data/dataset.ts";
import { openMemorySamples } from "../data/samples.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { type Tensor, zeros } from "../util/tensor.ts";
import { type ClassActivation, measureActivation } from "./classActivation.ts";
import { decouple, type SubModel } from "./subModel.ts";

/** The sub-model of one device. */
export const part = (target: Network, taskSet: readonly number[], widths: number, device = "a"): SubModel =>
  decouple(target, [{ device, taskSet, widths }])[0] as SubModel;

/** Sums, depthwise convolutions of one and two outputs per channel, a grouped one, a concatenation, group norm, and flattened pixels. */
export const tangled = (classes: number): Network =>
  networkOf(inputOf(3, 8, 8), [
    conv("a", 12),
    conv("b", 12),
    add("sum", "a", "b"),
    conv("depthwise", 12, { groups: 12 }),
    batchNorm("bn"),
    conv("grouped", 20, { groups: 4 }),
    groupNorm("gn", 5),
    conv("several", 24, { groups: 12, inputs: ["sum"] }),
    concat("both", "gn", "depthwise", "several"),
    avgPool("pool", [4, 4]),
    flatten("flat"),
    linear("hidden", 24),
    relu("relu"),
    linear("classifier", classes),
  ]);

/** Filters that fire for known classes: samples of class c are bright in channel c, and filter f reads channel f modulo 4 with strength 1 + f / 100. */
export const planted: Network = networkOf({ ...inputOf(4, 4, 4), mean: [0, 0, 0, 0], std: [1, 1, 1, 1] }, [
  conv("a", 8, { kernel: [1, 1], padding: [0, 0], bias: false }),
  relu("ra"),
  conv("b", 8, { kernel: [1, 1], padding: [0, 0], bias: false }),
  batchNorm("bn"),
  relu("rb"),
  maxPool("pool", [4, 4]),
  flatten("flat"),
  linear("classifier", 4),
]);

export function plantedParameters(): Map<string, Tensor> {
  const parameters = initialParameters(planted, 1);
  const eye = (rows: number, columns: number, at: (row: number) => number): Tensor => {
    const weight = zeros("float32", [rows, columns, 1, 1]);
    for (let f = 0; f < rows; f++) weight.data[f * columns + at(f)] = 1 + f / 100;
    return weight;
  };
  return parameters
    .set(
      "a.weight",
      eye(8, 4, (f) => f % 4),
    )
    .set(
      "b.weight",
      eye(8, 8, (f) => 7 - f),
    );
}

export function plantedSamples(): Dataset {
  const labels = Uint16Array.from({ length: 40 }, (_, i) => i % 4);
  const values = new Uint8Array(40 * 64);
  for (const [i, label] of labels.entries()) values.fill(100, i * 64 + label * 16, i * 64 + (label + 1) * 16);
  const provenance = { source: "planted", sha256: "" };
  const [mean, std] = [Array(4).fill(0), Array(4).fill(1)];
  return {
    name: "planted",
    classNames: ["p", "q", "r", "s"],
    shape: { channels: 4, height: 4, width: 4 },
    labels,
    store: { type: "memory", values },
    mean,
    std,
    provenance,
  };
}

export async function activationOf(
  target: Network,
  parameters: ReadonlyMap<string, Tensor>,
  dataset: Dataset,
  indices: ArrayLike<number>,
  batchSize = 16,
): Promise<ClassActivation> {
  await using session = await openSession(writeOnnx(compileActivations(target, parameters), { batchAxis: "N" }));
  return await measureActivation(session, target, openMemorySamples(dataset), indices, { batchSize });
}
