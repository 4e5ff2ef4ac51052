/** Every optimizer against updates written by hand, over several steps, in float64. */
import { describe, expect, test } from "vitest";
import { randomBatch } from "../../test/support/batches.ts";
import { batchNorm, conv, globalAvgPool, inputOf, linear, networkOf, relu } from "../../test/support/networks.ts";
import { openGraph, type Tensors } from "../../test/support/session.ts";
import { nextState } from "../../test/support/trainingLoop.ts";
import type { Tensor } from "../util/tensor.ts";
import type { OptimizerConfig, OptimizerType } from "./optimizers.ts";
import { compileTraining, initialState } from "./training.ts";

const network = networkOf(inputOf(2, 4, 5), [conv("conv", 3), batchNorm("bn"), relu("relu"), globalAvgPool("pool"), linear("last", 3)]);
const decayed = new Set(["conv.weight", "last.weight"]);
const steps = 6;
const learningRate = 0.05;

/** All parameters of one step, by name, as plain arrays. */
type Vectors = Map<string, number[]>;
/** Turns gradients into what is subtracted from the parameters; `step` counts from 1. */
type ByHand = (gradients: Vectors, parameters: Vectors, step: number) => Vectors;

const zip = (a: readonly number[], b: readonly number[], f: (x: number, y: number) => number): number[] =>
  a.map((x, i) => f(x, b[i] as number));
const mapVectors = (vectors: Vectors, f: (value: number[], name: string) => number[]): Vectors =>
  new Map([...vectors].map(([name, value]) => [name, f(value, name)]));
const withDecay = (updates: Vectors, parameters: Vectors, rate: number): Vectors =>
  mapVectors(updates, (u, name) => (decayed.has(name) ? zip(u, parameters.get(name) as number[], (x, p) => x + rate * p) : u));
const clip = (gradients: Vectors, limit: number): Vectors => {
  const norm = Math.sqrt([...gradients.values()].flat().reduce((sum, g) => sum + g * g, 0));
  return norm > limit ? mapVectors(gradients, (g) => g.map((x) => (x * limit) / norm)) : gradients;
};

/** Keeps one array per parameter between steps, zeros at first. */
function memory(): (name: string, like: readonly number[], next: (old: number[]) => number[]) => number[] {
  const kept = new Map<string, number[]>();
  return (name, like, next) => {
    const value = next(kept.get(name) ?? like.map(() => 0));
    kept.set(name, value);
    return value;
  };
}

function sgd(momentum: number, nesterov: boolean, weightDecay: number, clipNorm = Number.POSITIVE_INFINITY): ByHand {
  const velocity = memory();
  return (gradients, parameters) =>
    mapVectors(withDecay(clip(gradients, clipNorm), parameters, weightDecay), (g, name) => {
      const v = velocity(name, g, (old) => zip(old, g, (o, x) => momentum * o + x));
      return (nesterov ? zip(g, v, (x, y) => x + momentum * y) : v).map((x) => learningRate * x);
    });
}

function adam(
  decoupled: boolean,
  weightDecay: number,
  beta1 = 0.9,
  beta2 = 0.999,
  epsilon = 1e-8,
  clipNorm = Number.POSITIVE_INFINITY,
): ByHand {
  const [first, second] = [memory(), memory()];
  return (raw, parameters, step) => {
    const clipped = clip(raw, clipNorm);
    const gradients = decoupled ? clipped : withDecay(clipped, parameters, weightDecay);
    const scaled = mapVectors(gradients, (g, name) => {
      const m = first(name, g, (old) => zip(old, g, (o, x) => beta1 * o + (1 - beta1) * x));
      const v = second(name, g, (old) => zip(old, g, (o, x) => beta2 * o + (1 - beta2) * x * x));
      return zip(m, v, (a, b) => a / (1 - beta1 ** step) / (Math.sqrt(b / (1 - beta2 ** step)) + epsilon));
    });
    return mapVectors(decoupled ? withDecay(scaled, parameters, weightDecay) : scaled, (u) => u.map((x) => learningRate * x));
  };
}

const cases: Readonly<Record<string, readonly [OptimizerConfig, () => ByHand]>> = {
  "plain SGD": [{ type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 }, () => sgd(0, false, 0)],
  "SGD with weight decay": [{ type: "sgd", momentum: 0, nesterov: false, weightDecay: 0.1 }, () => sgd(0, false, 0.1)],
  "SGD with momentum": [{ type: "sgd", momentum: 0.9, nesterov: false, weightDecay: 0.01 }, () => sgd(0.9, false, 0.01)],
  "SGD with Nesterov momentum": [{ type: "sgd", momentum: 0.8, nesterov: true, weightDecay: 0.01 }, () => sgd(0.8, true, 0.01)],
  "SGD, clipped": [{ type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0.1, clipNorm: 0.05 }, () => sgd(0.9, true, 0.1, 0.05)],
  "SGD, a limit that is never reached": [
    { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0, clipNorm: 1e6 },
    () => sgd(0, false, 0),
  ],
  Adam: [{ type: "adam", weightDecay: 0 }, () => adam(false, 0)],
  "Adam with L2 regularization": [{ type: "adam", weightDecay: 0.1 }, () => adam(false, 0.1)],
  "Adam with its own constants, clipped": [
    { type: "adam", weightDecay: 0, beta1: 0.7, beta2: 0.95, epsilon: 1e-3, clipNorm: 0.02 },
    () => adam(false, 0, 0.7, 0.95, 1e-3, 0.02),
  ],
  AdamW: [{ type: "adamw", weightDecay: 0.1 }, () => adam(true, 0.1)],
  "AdamW with its own constants": [{ type: "adamw", weightDecay: 0.3, beta1: 0.5, beta2: 0.9 }, () => adam(true, 0.3, 0.5, 0.9)],
};

const vector = (value: Tensor | undefined): number[] => Array.from(value?.data as Float64Array);

describe("optimizers", () => {
  test.each(Object.keys(cases))("%s", async (name) => {
    const [config, start] = cases[name] as (typeof cases)[string];
    const byHand = start();
    const program = compileTraining(network, { batchSize: 4, optimizer: config, dtype: "float64", exposeGradients: true });
    const parameters = program.inputs.filter((p) => p.role === "parameter").map((p) => p.name);
    const runner = await openGraph(program.graph);
    let state: Tensors = initialState(program, 3);
    for (let step = 1; step <= steps; step++) {
      const outputs = await runner.run(new Map([...state, ...randomBatch(program, step, learningRate)]));
      const before: Vectors = new Map(parameters.map((p) => [p, vector(state.get(p))]));
      const gradients: Vectors = new Map(parameters.map((p) => [p, vector(outputs.get(`${p}.gradient`))]));
      const updates = byHand(gradients, before, step);
      state = nextState(program, outputs);
      for (const p of parameters) {
        const expected = zip(before.get(p) as number[], updates.get(p) as number[], (x, u) => x - u);
        // A limit of the norm is kept to within 1e-6 of it, so as not to divide by zero.
        const digits = config.clipNorm === undefined ? 12 : 6;
        vector(state.get(p)).forEach((value, i) => {
          expect(value, `${p}[${i}] in step ${step}`).toBeCloseTo(expected[i] as number, digits);
        });
      }
    }
    await runner.close();
  });

  test("the cases name every optimizer", () => {
    const named: ReadonlySet<OptimizerType> = new Set(Object.values(cases).map(([config]) => config.type));
    expect([...named].sort()).toEqual(["adam", "adamw", "sgd"]);
  });

  test("the average of the weights starts at the weights and follows them", async () => {
    const decay = 0.75;
    const optimizer = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0 } as const;
    const program = compileTraining(network, { batchSize: 4, optimizer, dtype: "float64", emaDecay: decay });
    const runner = await openGraph(program.graph);
    let state: Tensors = initialState(program, 3);
    let average = vector(state.get("conv.weight"));
    expect(vector(state.get("conv.weight.ema"))).toEqual(average);
    for (let step = 1; step <= steps; step++) {
      state = nextState(program, await runner.run(new Map([...state, ...randomBatch(program, step, learningRate)])));
      average = zip(average, vector(state.get("conv.weight")), (a, w) => decay * a + (1 - decay) * w);
      vector(state.get("conv.weight.ema")).forEach((value, i) => {
        expect(value).toBeCloseTo(average[i] as number, 13);
      });
    }
    expect(program.inputs.filter((p) => p.name.endsWith(".ema")).map((p) => p.name)).toEqual([
      "conv.weight.ema",
      "conv.bias.ema",
      "bn.weight.ema",
      "bn.bias.ema",
      "last.weight.ema",
      "last.bias.ema",
    ]);
    await runner.close();
  });
});
