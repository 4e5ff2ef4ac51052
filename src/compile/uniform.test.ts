/** Random numbers inside graphs: even, independent across elements, calls and steps; and dropout, which is made of them. */
import { describe, expect, test } from "vitest";
import { randomBatch } from "../../test/support/batches.ts";
import { conv, dropout, flatten, inputOf, linear, networkOf } from "../../test/support/networks.ts";
import { openGraph, runGraph } from "../../test/support/session.ts";
import { layerRules } from "../network/layers/table.ts";
import type { TrainingContext } from "../network/rules.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Value } from "../onnx/graph.ts";
import { type FloatDType, floats, integers, type Tensor } from "../util/tensor.ts";
import { compileTraining, initialState } from "./training.ts";
import { uniformNumbers } from "./uniform.ts";

const size = 4096;

/** Uniform numbers of two calls, at each of these values of the counter. */
async function draw(counters: readonly number[], dtype: FloatDType = "float64"): Promise<readonly Float64Array[][]> {
  const b = new GraphBuilder();
  const numbers = uniformNumbers(b, dtype, (name) => b.input(name, "int64", [1]));
  b.output("first", numbers.uniform([size]));
  b.output("second", numbers.uniform([64, size / 64]));
  numbers.finish((_, next) => b.output("next", next));
  const runner = await openGraph(b.build("uniform"));
  const result: Float64Array[][] = [];
  for (const counter of counters) {
    const outputs = await runner.run(new Map([["random.counter", integers([1], [counter])]]));
    expect(outputs.get("next")?.data[0]).toBe(BigInt(counter + 1));
    result.push(["first", "second"].map((name) => Float64Array.from(outputs.get(name)?.data as Float64Array)));
  }
  await runner.close();
  return result;
}

/** Sum of (observed - expected)^2 / expected over equally likely bins; about bins +- sqrt(2 * bins) for good numbers. */
function chiSquare(bins: readonly number[]): number {
  const expected = bins.reduce((sum, n) => sum + n, 0) / bins.length;
  return bins.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
}
/** Five standard deviations beyond the mean of the chi-square distribution: one in millions by chance. */
const limit = (bins: number): number => bins - 1 + 5 * Math.sqrt(2 * (bins - 1));

function histogram(values: Iterable<number>, bins: number): number[] {
  const result = new Array<number>(bins).fill(0);
  for (const v of values) result[Math.floor(v * bins)]!++;
  return result;
}

/** Counts of pairs (a[i], b[i]) in a grid of `side` x `side`. */
function pairs(a: Float64Array, b: Float64Array, side: number): number[] {
  return histogram(
    Array.from(a, (x, i) => (Math.floor(x * side) + (b[i] as number)) / side),
    side * side,
  );
}

describe("uniformNumbers", () => {
  const counters = [0, 1, 2, 3, 50, 51, 1000, 123_456, 10_000_000];

  test("lie in [0, 1) and fill it evenly", async () => {
    for (const numbers of (await draw(counters)).flat()) {
      expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...numbers)).toBeLessThan(1);
      expect(chiSquare(histogram(numbers, 64))).toBeLessThan(limit(64));
    }
  });

  test("neighbours, steps and calls are independent", async () => {
    const drawn = await draw(counters);
    for (const [step, [first, second]] of drawn.entries()) {
      const [a, b] = [first as Float64Array, second as Float64Array];
      const next = (drawn[step + 1] ?? drawn[0])?.[0] as Float64Array;
      for (const lag of [1, 2, 8, 64])
        expect(chiSquare(pairs(a.subarray(0, size - lag), a.subarray(lag), 8)), `lag ${lag}`).toBeLessThan(limit(64));
      expect(chiSquare(pairs(a, b, 8)), `calls of step ${step}`).toBeLessThan(limit(64));
      expect(chiSquare(pairs(a, next, 8)), `steps after ${step}`).toBeLessThan(limit(64));
    }
  });

  test("one element over many steps is even too, and neighbouring steps are independent", async () => {
    const drawn = await draw(Array.from({ length: 1024 }, (_, i) => i));
    for (const element of [0, 1, 2, 100, size - 1]) {
      const series = Float64Array.from(drawn, (step) => step[0]?.[element] as number);
      expect(chiSquare(histogram(series, 32)), `element ${element}`).toBeLessThan(limit(32));
      expect(chiSquare(pairs(series.subarray(0, 1023), series.subarray(1), 4)), `element ${element}`).toBeLessThan(limit(16));
    }
  });

  test("no two steps or calls give the same numbers, the same step always does", async () => {
    const drawn = (await draw(counters)).flat().map((numbers) => numbers.join());
    expect(new Set(drawn).size).toBe(drawn.length);
    expect((await draw(counters)).flat().map((numbers) => numbers.join())).toEqual(drawn);
  });

  test("in float32 do not exceed 1, to which the largest ones are rounded", async () => {
    for (const numbers of (await draw([0, 7, 99], "float32")).flat()) expect(Math.max(...numbers)).toBeLessThanOrEqual(1);
  });
});

/** Dropout of ones: the mask itself. */
async function masks(probability: number, counters: readonly number[]): Promise<Float64Array[]> {
  const b = new GraphBuilder();
  const numbers = uniformNumbers(b, "float64", (name) => b.input(name, "int64", [1]));
  const shape = { channels: 8, height: 8, width: 8 };
  const x = b.input("x", "float64", [8, 64, 8]);
  const layer = { type: "dropout", name: "d", inputs: ["x"], probability } as const;
  const context: TrainingContext = {
    builder: b,
    dtype: "float64",
    batchSize: 8,
    mode: "train",
    parameter: () => x,
    updateState: () => undefined,
    uniform: numbers.uniform,
  };
  const { output } = layerRules.dropout.train(context, layer, [{ value: x as Value, shape }], shape);
  b.output("y", output.value);
  const runner = await openGraph(b.build("dropout"));
  const result: Float64Array[] = [];
  for (const counter of counters) {
    const feeds = new Map<string, Tensor>([
      ["x", floats("float64", [8, 64, 8], new Float64Array(4096).fill(1))],
      ["random.counter", integers([1], [counter])],
    ]);
    result.push((await runner.run(feeds)).get("y")?.data as Float64Array);
  }
  await runner.close();
  return result;
}

describe("dropout", () => {
  test.each([0.1, 0.5, 0.9])("of %f zeroes that share, scales the rest so that the mean stays", async (probability) => {
    for (const mask of await masks(probability, [0, 1, 2, 77])) {
      const kept = mask.filter((v) => v !== 0);
      for (const v of kept) expect(v).toBeCloseTo(1 / (1 - probability), 12);
      const deviation = Math.sqrt(4096 * probability * (1 - probability));
      expect(Math.abs(kept.length - 4096 * (1 - probability))).toBeLessThan(4 * deviation);
    }
  });

  test("averages to its input over many steps, at every place", async () => {
    const steps = 200;
    const drawn = await masks(
      0.5,
      Array.from({ length: steps }, (_, i) => i),
    );
    const means = Float64Array.from({ length: 4096 }, (_, i) => drawn.reduce((sum, mask) => sum + (mask[i] as number), 0) / steps);
    expect(means.reduce((sum, m) => sum + m, 0) / 4096).toBeCloseTo(1, 2);
    // Standard deviation of a mean is 1 / sqrt(200) = 0.07; the worst of 4096 lies within six of them.
    for (const m of means) expect(Math.abs(m - 1)).toBeLessThan(6 / Math.sqrt(steps));
  });

  test("draws a new mask in every step and for every layer, the same one from the same state", async () => {
    const network = networkOf(inputOf(2, 4, 4), [conv("c", 3), dropout("a", 0.5), dropout("b", 0.5), flatten("f"), linear("last", 3)]);
    const optimizer = { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 } as const;
    const program = compileTraining(network, { batchSize: 4, optimizer, dtype: "float64" });
    const state = initialState(program, 1);
    expect(state.get("random.counter")).toEqual(integers([1], [0]));
    const feeds = new Map([...state, ...randomBatch(program, 1)]);
    const lossAt = async (counter: number): Promise<unknown> =>
      (await runGraph(program.graph, new Map(feeds).set("random.counter", integers([1], [counter])))).get("loss")?.data[0];
    const losses = await Promise.all([0, 1, 2, 3].map(lossAt));
    expect(new Set(losses).size).toBe(4);
    expect(await lossAt(2)).toBe(losses[2]);
  });
});
