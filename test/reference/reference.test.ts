/** The compiled training step against an independent implementation in plain loops. */
import { beforeAll, describe, expect, test } from "vitest";
import { compileTraining, initialState } from "../../src/compile/training.ts";
import { random } from "../../src/util/random.ts";
import { type FloatDType, floats, type Tensor } from "../../src/util/tensor.ts";
import { batchNorm, conv, flatten, inputOf, linear, maxPool, networkOf, relu } from "../support/networks.ts";
import { toDType, trainSteps } from "../support/trainingLoop.ts";
import { type Batch, batchOf } from "./layers.ts";
import { ReferenceTrainer } from "./trainer.ts";

const steps = 20;
const batchSize = 6;
const classes = 4;
const input = inputOf(3, 9, 8);
const network = networkOf(input, [
  conv("conv1", 6, { bias: false }),
  batchNorm("bn1"),
  relu("relu1"),
  maxPool("pool1", [2, 2]),
  conv("conv2", 8, { stride: [2, 2], groups: 2 }),
  relu("relu2"),
  flatten("flatten"),
  linear("classifier", classes),
]);
const settings = { learningRate: 0.05, momentum: 0.9, weightDecay: 5e-3 };
const optimizer = { type: "sgd", momentum: settings.momentum, nesterov: true, weightDecay: settings.weightDecay } as const;

/** Batch of a step, one of three in turn. */
function drawBatch(step: number): { images: Batch; labels: number[] } {
  const source = random(11, "step", step % 3);
  const images = batchOf(batchSize, input.channels, input.height, input.width);
  const labels = Array.from({ length: batchSize }, () => source.below(classes));
  const pixels = input.height * input.width;
  for (let i = 0; i < images.data.length; i++) {
    const n = Math.floor(i / (input.channels * pixels));
    images.data[i] = source.normal() + 0.5 * Math.cos((labels[n]! + 1) * (i % pixels));
  }
  return { images, labels };
}

/** The same batch as feeds: batch innermost, one column of the target per image. */
function feeds(step: number, dtype: FloatDType): Map<string, Tensor> {
  const { images, labels } = drawBatch(step);
  const size = images.data.length / batchSize;
  const image = new Float64Array(images.data.length);
  images.data.forEach((v, i) => {
    image[(i % size) * batchSize + Math.floor(i / size)] = v;
  });
  const target = new Float64Array(classes * batchSize);
  labels.forEach((label, n) => {
    target[label * batchSize + n] = 1;
  });
  return new Map([
    ["image", floats(dtype, [input.channels, input.height, input.width, batchSize], image)],
    ["target", floats(dtype, [classes, batchSize], target)],
    ["learningRate", floats(dtype, [], [settings.learningRate])],
  ]);
}

const start = initialState(compileTraining(network, { batchSize, optimizer, dtype: "float64" }), 1);
const compiled = (dtype: FloatDType) => {
  const program = compileTraining(network, { batchSize, optimizer, dtype });
  const state = new Map([...start].map(([name, value]) => [name, toDType(value, dtype)]));
  return trainSteps(program, steps, (step) => feeds(step, dtype), state);
};
const relativeError = (a: number, b: number): number => Math.abs(a - b) / Math.abs(b);

describe("20 steps of a 3-layer network", () => {
  const parameters = new Map([...start].map(([name, value]) => [name, Float64Array.from(value.data as Float64Array)]));
  let losses: number[] = [];
  beforeAll(() => {
    const trainer = new ReferenceTrainer(parameters, { ...settings, mean: input.mean, std: input.std });
    losses = Array.from({ length: steps }, (_, step) => {
      const { images, labels } = drawBatch(step);
      return trainer.step(images, labels);
    });
  });

  test("the reference learns", () => {
    expect(losses.at(-1)).toBeLessThan(0.7 * losses[0]!);
  });

  test("in float64 the losses, parameters and running statistics agree to nine digits", async () => {
    const result = await compiled("float64");
    result.losses.forEach((loss, step) => {
      expect(relativeError(loss, losses[step]!), `step ${step}`).toBeLessThan(1e-9);
    });
    for (const [name, value] of parameters) {
      if (name.endsWith(".momentum")) continue;
      const own = result.state.get(name)?.data as Float64Array;
      const norm = Math.hypot(...value);
      expect(Math.hypot(...value.map((v, i) => v - own[i]!)) / norm, name).toBeLessThan(1e-9);
    }
  });

  test("in float32 the losses agree to four digits", async () => {
    const result = await compiled("float32");
    result.losses.forEach((loss, step) => {
      expect(relativeError(loss, losses[step]!), `step ${step}`).toBeLessThan(1e-4);
    });
  });
});
