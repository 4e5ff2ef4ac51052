/** The training layout and the deployable form compute the same function. */
import { describe, expect, test } from "vitest";
import { randomBatch } from "../../test/support/batches.ts";
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
import { toDType, trainSteps } from "../../test/support/trainingLoop.ts";
import type { Network, NetworkInput } from "../network/network.ts";
import { verify } from "../onnx/verify.ts";
import { type FloatDType, floats, sizeOf, type Tensor } from "../util/tensor.ts";
import { compileInference } from "./deploy.ts";
import { compileEvaluation } from "./evaluation.ts";
import { compileTraining } from "./training.ts";

const batchSize = 5;
const classes = 3;

/** [C, H, W, N] to [N, C, H, W], or [classes, N] to [N, classes]. */
function batchOutermost(value: Tensor): Tensor {
  const n = value.shape.at(-1) as number;
  const size = sizeOf(value.shape) / n;
  const result = new Float64Array(size * n);
  for (let i = 0; i < size; i++) for (let j = 0; j < n; j++) result[j * size + i] = Number(value.data[i * n + j]);
  return floats("float32", [n, ...value.shape.slice(0, -1)], result);
}

/** Logits [classes, batch] of the training layout and [batch, classes] of the deployable form, after some steps of training. */
async function bothForms(network: Network): Promise<{ training: Tensor; deployed: Tensor }> {
  const optimizer = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 1e-3 } as const;
  const program = compileTraining(network, { batchSize, optimizer, dtype: "float32" });
  const { state } = await trainSteps(program, 4, (step) => randomBatch(program, step, 0.05));
  const image = randomBatch(program, 99).get("image") as Tensor;
  const evaluation = compileEvaluation(network, { batchSize });
  const training = (await runGraph(evaluation.graph, new Map([...state, ["image", image]]))).get("logits") as Tensor;
  const names = Array.from({ length: classes }, (_, i) => `class ${i}`);
  const inference = verify(compileInference(network, state, { classNames: names }));
  const deployed = (await runGraph(inference, new Map([["image", batchOutermost(image)]]), { batchAxis: "N" })).get("logits") as Tensor;
  return { training, deployed };
}

const input = inputOf(3, 9, 8);
const net = (drafts: readonly Draft[], from: NetworkInput = input): Network => networkOf(from, drafts);
const head: readonly Draft[] = [globalAvgPool("gap"), linear("last", classes)];

const networks: Readonly<Record<string, Network>> = {
  "conv, batchNorm, relu, maxPool": net([conv("c", 6, { bias: false }), batchNorm("bn"), relu("r"), maxPool("p", [2, 2]), ...head]),
  "tiling pools": net([conv("c", 4), relu("r"), maxPool("p", [2, 2]), flatten("f"), linear("last", classes)], inputOf(2, 8, 6)),
  "strides, padding, dilation and groups": net([
    conv("a", 6, { kernel: [5, 3], stride: [2, 1], padding: [2, 0] }),
    relu("r"),
    conv("b", 4, { groups: 2, dilation: [2, 2], padding: [2, 2] }),
    conv("c", 4, { groups: 4, kernel: [2, 2], padding: [0, 0] }),
    ...head,
  ]),
  "depthwise-separable blocks, padded by a layer": net([
    conv("a", 4, { kernel: [4, 2], stride: [2, 2], bias: false }),
    batchNorm("bn0"),
    clip("r0", 0, 6),
    zeroPad("pad", 0, 1, 2, 1),
    conv("dw1", 4, { groups: 4, stride: [2, 1], padding: [0, 0], bias: false }),
    batchNorm("bn1"),
    hardSwish("r1"),
    conv("pw1", 6, { kernel: [1, 1], padding: [0, 0], bias: false }),
    leakyRelu("r2", 0.1),
    conv("dw2", 12, { groups: 6 }),
    sigmoid("r3"),
    ...head,
  ]),
  "overlapping pools": net([
    conv("a", 4),
    maxPool("p", [3, 3], [2, 2], [1, 1]),
    relu("r"),
    conv("b", 5),
    avgPool("q", [3, 3], [2, 2], [1, 1], false),
    ...head,
  ]),
  "average pools that count padding, rectangular": net([
    conv("a", 4),
    avgPool("p", [3, 2], [2, 1], [1, 1], true),
    flatten("f"),
    linear("last", classes),
  ]),
  "a pool that leaves a rest": net([conv("a", 4), maxPool("p", [2, 2]), avgPool("q", [2, 3]), flatten("f"), linear("last", classes)]),
  "group norms": net([
    conv("a", 6),
    groupNorm("g1", 2),
    relu("r"),
    conv("b", 4),
    groupNorm("g2", 4),
    flatten("f"),
    linear("l", 6),
    groupNorm("g3", 3),
    linear("last", classes),
  ]),
  dropout: net([conv("a", 4), dropout("d1", 0.3), relu("r"), flatten("f"), linear("l", 8), dropout("d2", 0.5), linear("last", classes)]),
  "a residual block": net([
    conv("first", 4),
    batchNorm("bn0"),
    relu("r0"),
    conv("a", 4, { bias: false }),
    batchNorm("bn1"),
    relu("r1"),
    conv("b", 4, { bias: false }),
    batchNorm("bn2"),
    add("sum", "bn2", "r0"),
    relu("r2"),
    ...head,
  ]),
  "concat of branches": net([
    conv("a", 3),
    conv("b", 2, { inputs: ["input"], kernel: [1, 1], padding: [0, 0] }),
    concat("cat", "a", "input", "b"),
    relu("r"),
    ...head,
  ]),
  "batchNorm of a vector, flatten twice": net([
    conv("a", 4),
    flatten("f"),
    flatten("g"),
    linear("l", 6),
    batchNorm("bn"),
    relu("r"),
    linear("last", classes),
  ]),
  "batchNorm after a global average": net([conv("a", 4), globalAvgPool("gap"), batchNorm("bn"), linear("last", classes)]),
  "layers called like inputs and outputs": net([
    conv("probabilities", 4),
    relu("image"),
    globalAvgPool("loss"),
    dropout("random", 0.2),
    linear("target", 4),
    batchNorm("optimizer"),
    linear("logits", classes),
  ]),
  "a convolution as the last layer": net([
    conv("a", 4, { stride: [2, 2] }),
    relu("r"),
    conv("last", classes, { kernel: [5, 4], padding: [0, 0] }),
  ]),
};

describe("training layout and deployable form", () => {
  test.each(Object.keys(networks))("give the same logits: %s", async (name) => {
    const { training, deployed } = await bothForms(networks[name] as Network);
    const expected = batchOutermost(training);
    expect(deployed.shape).toEqual([batchSize, classes]);
    expect(new Set(expected.data as Float32Array).size).toBeGreaterThan(classes);
    for (const [i, value] of (deployed.data as Float32Array).entries()) expect(value).toBeCloseTo(Number(expected.data[i]), 4);
  });
});

describe("compileEvaluation", () => {
  const network = networks["conv, batchNorm, relu, maxPool"] as Network;

  test("takes the training program's parameters and layer states, and nothing else", () => {
    const optimizer = { type: "adam", weightDecay: 0 } as const;
    const training = compileTraining(network, { batchSize, optimizer, emaDecay: 0.9 });
    const evaluation = compileEvaluation(network, { batchSize });
    const names = evaluation.inputs.filter((p) => p.role !== "image").map((p) => p.name);
    expect(names).toEqual(["c.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "last.weight", "last.bias"]);
    for (const port of evaluation.inputs) expect(training.inputs).toContainEqual(port);
    expect(evaluation.outputs).toEqual([{ name: "logits", dtype: "float32", shape: [classes, batchSize], role: "logits" }]);
  });

  test("in float64 and float32 the same to single precision, image by image whatever the batch", async () => {
    const program = compileTraining(network, { batchSize, optimizer: { type: "adam", weightDecay: 0 }, dtype: "float64" });
    const { state } = await trainSteps(program, 3, (step) => randomBatch(program, step, 0.01));
    const image = randomBatch(program, 7).get("image") as Tensor;
    const logits = async (dtype: FloatDType, size: number): Promise<readonly number[]> => {
      const part = image.data.filter((_: unknown, i: number) => i % batchSize < size) as Float64Array;
      const shape = [...image.shape.slice(0, -1), size];
      const feeds = new Map([...state].map(([name, value]) => [name, toDType(value, dtype)]));
      const { graph } = compileEvaluation(network, { batchSize: size, dtype });
      const outputs = await runGraph(graph, feeds.set("image", floats(dtype, shape, part)));
      return Array.from(batchOutermost(outputs.get("logits") as Tensor).data as Float32Array).slice(0, classes);
    };
    const reference = await logits("float64", batchSize);
    for (const other of [await logits("float32", batchSize), await logits("float64", 1)]) {
      other.forEach((value, i) => {
        expect(value).toBeCloseTo(reference[i] as number, 5);
      });
    }
  });

  test("refuses a batch of nothing", () => {
    expect(() => compileEvaluation(network, { batchSize: 0 })).toThrow("Batch size must be a whole number of at least 1, got 0.");
  });
});
