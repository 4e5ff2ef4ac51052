/** The one judge of every backward pass: a compiled gradient against central differences of the compiled loss, in float64. */
import { expect } from "vitest";
import { compileTraining, initialState, type TrainingOptions, type TrainingProgram } from "../../src/compile/training.ts";
import type { Network } from "../../src/network/network.ts";
import { type Random, random } from "../../src/util/random.ts";
import { type Tensor, tensor } from "../../src/util/tensor.ts";
import { randomBatch } from "./batches.ts";
import { type GraphRunner, openGraph, type Tensors } from "./session.ts";

export interface GradientCheckOptions {
  readonly batchSize: number;
  readonly labelSmoothing?: number;
  /** The loss of settling, with random scores of the other branches. */
  readonly jointLoss?: TrainingOptions["jointLoss"];
  /** Added to the logits in the loss. */
  readonly lossOffset?: readonly number[];
  /** Soft targets rather than one class each. */
  readonly softTargets?: boolean;
  readonly seed?: number;
  /** Random directions per parameter; 2 by default. */
  readonly directions?: number;
  /** Length of a step along a direction of unit variance. */
  readonly epsilon?: number;
  /** Allowed error, relative to the gradient's norm. */
  readonly tolerance?: number;
}

const values = (t: Tensor | undefined): Float64Array => t?.data as Float64Array;
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);

/** Moves every parameter off its initial value, since zeros and ones hide mistakes; scales of normalizations get either sign. */
function shaken(program: TrainingProgram, seed: number): Map<string, Tensor> {
  const source = random(seed, "shake");
  const state = initialState(program, seed);
  for (const { name, role, shape } of program.inputs) {
    const value = state.get(name);
    if (role !== "parameter" || !value) continue;
    const isScale = name.endsWith(".weight") && shape.length === 1;
    const sign = (): number => (isScale && source.uniform() < 0.5 ? -1 : 1);
    state.set(
      name,
      tensor(
        "float64",
        shape,
        values(value).map((x) => sign() * (x + 0.2 * source.normal())),
      ),
    );
  }
  return state;
}

/** Slope of the loss along `direction` in parameter `name`, by central difference. */
async function slope(runner: GraphRunner, feeds: Tensors, name: string, direction: Float64Array, epsilon: number): Promise<number> {
  const parameter = feeds.get(name) as Tensor;
  const lossAt = async (t: number): Promise<number> => {
    const moved = tensor(
      "float64",
      parameter.shape,
      values(parameter).map((x, i) => x + t * (direction[i] as number)),
    );
    const outputs = await runner.run(new Map(feeds).set(name, moved));
    return values(outputs.get("loss"))[0] as number;
  };
  return ((await lossAt(epsilon)) - (await lossAt(-epsilon))) / (2 * epsilon);
}

function randomDirection(length: number, source: Random): Float64Array {
  return Float64Array.from({ length }, source.normal);
}

/**
 * Compares the gradient of every parameter of `network` with central differences of the loss along random directions.
 * The gradient that a layer passes on to its inputs is covered by parameters before it.
 */
export async function checkGradients(network: Network, options: GradientCheckOptions): Promise<void> {
  const { batchSize, labelSmoothing = 0, softTargets = false, seed = 1, directions = 2, epsilon = 1e-5, tolerance = 1e-6 } = options;
  const optimizer = { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 } as const;
  const joint = {
    ...(options.jointLoss === undefined ? {} : { jointLoss: options.jointLoss }),
    ...(options.lossOffset === undefined ? {} : { lossOffset: options.lossOffset }),
  };
  const program = compileTraining(network, { batchSize, optimizer, labelSmoothing, dtype: "float64", exposeGradients: true, ...joint });
  const feeds: Tensors = new Map([...shaken(program, seed), ...randomBatch(program, seed, 0, !softTargets)]);
  const runner = await openGraph(program.graph);
  try {
    const outputs = await runner.run(feeds);
    const source = random(seed, "direction");
    for (const { name } of program.inputs.filter((port) => port.role === "parameter")) {
      const gradient = values(outputs.get(`${name}.gradient`));
      expect(gradient, `gradient of ${name}`).toBeDefined();
      const norm = Math.sqrt(dot(gradient, gradient));
      expect(Number.isFinite(norm), `gradient of ${name} is finite`).toBe(true);
      for (let i = 0; i < directions; i++) {
        const direction = randomDirection(gradient.length, source);
        const measured = await slope(runner, feeds, name, direction, epsilon);
        const error = Math.abs(measured - dot(gradient, direction)) / Math.max(norm, 1e-3);
        expect(error, `${name} along direction ${i}: compiled ${dot(gradient, direction)}, measured ${measured}`).toBeLessThan(tolerance);
      }
    }
  } finally {
    await runner.close();
  }
}
