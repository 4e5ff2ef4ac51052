/** The joint loss of settling: its value and gradient, what it does not see, and that settling in turn reaches the joint optimum where there is one. */
import { describe, expect, it, test } from "vitest";
import { checkGradients } from "../../test/support/checkGradients.ts";
import { flatten, linear, networkOf, relu } from "../../test/support/networks.ts";
import { openGraph } from "../../test/support/session.ts";
import type { Network } from "../network/network.ts";
import { random } from "../util/random.ts";
import { floats, type Tensor } from "../util/tensor.ts";
import { compileTraining, initialState } from "./training.ts";

const [features, classCount, samples] = [4, 5, 60] as const;
const plain = { channels: features, height: 1, width: 1, mean: [0, 0, 0, 0], std: [1, 1, 1, 1] };
const branchOf = (taskSet: readonly number[]): Network => networkOf(plain, [flatten("flat"), linear("head", taskSet.length + 1)]);
const sgd = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0 } as const;

const logSumExp = (values: readonly number[]): number => {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, v) => sum + Math.exp(v - most), 0));
};
const columnOf = (taskSet: readonly number[], id: number): number => (taskSet.includes(id) ? taskSet.indexOf(id) : taskSet.length);

/** Data that no linear rule separates, so that the best weights are finite. Features are [features, samples], batch innermost. */
const source = random(7, "convex");
const image = Float64Array.from({ length: features * samples }, source.normal);
const labels = Uint16Array.from({ length: samples }, () => source.below(classCount));
const oneHot = Float64Array.from({ length: classCount * samples }, (_, i) => Number(labels[i % samples] === Math.floor(i / samples)));

/** Weights [rows, features] and bias of a linear branch. */
interface Linear {
  readonly taskSet: readonly number[];
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** The log-probability that a branch gives class `id` of sample `n`: the sum over branches is the product of experts. */
function score({ taskSet, weight, bias }: Linear, n: number): number[] {
  const logits = Array.from(bias, (b, row) => {
    let sum = b;
    for (let f = 0; f < features; f++) sum += (weight[row * features + f] as number) * (image[f * samples + n] as number);
    return sum;
  });
  const total = logSumExp(logits);
  return Array.from({ length: classCount }, (_, id) => (logits[columnOf(taskSet, id)] as number) - total);
}

const sumOf = (branches: readonly Linear[], n: number): number[] =>
  branches.map((branch) => score(branch, n)).reduce((a, b) => a.map((v, c) => v + (b[c] as number)), new Array<number>(classCount).fill(0));

function jointLoss(branches: readonly Linear[]): number {
  let loss = 0;
  for (let n = 0; n < samples; n++) {
    const z = sumOf(branches, n);
    loss += (logSumExp(z) - (z[labels[n] as number] as number)) / samples;
  }
  return loss;
}

/** All branches at once, by plain gradient descent, written without the compiler. */
function jointOptimum(taskSets: readonly (readonly number[])[]): number {
  const branches = taskSets.map((taskSet) => ({
    taskSet,
    weight: new Float64Array((taskSet.length + 1) * features),
    bias: new Float64Array(taskSet.length + 1),
  }));
  for (let step = 0; step < 4000; step++) {
    const residuals = Array.from({ length: samples }, (_, n) => {
      const z = sumOf(branches, n);
      const total = logSumExp(z);
      return z.map((v, c) => (Math.exp(v - total) - Number(labels[n] === c)) / samples);
    });
    for (const { taskSet, weight, bias } of branches) {
      residuals.forEach((residual, n) => {
        residual.forEach((r, c) => {
          const row = columnOf(taskSet, c);
          bias[row] = (bias[row] as number) - 0.5 * r;
          for (let f = 0; f < features; f++) {
            const at = row * features + f;
            weight[at] = (weight[at] as number) - 0.5 * r * (image[f * samples + n] as number);
          }
        });
      });
    }
  }
  return jointLoss(branches);
}

async function settleInTurn(taskSets: readonly (readonly number[])[], passes: number): Promise<number[]> {
  const programs = taskSets.map((taskSet) =>
    compileTraining(branchOf(taskSet), { batchSize: samples, optimizer: sgd, dtype: "float64", jointLoss: { taskSet, classCount } }),
  );
  const runners = await Promise.all(programs.map(({ graph }) => openGraph(graph)));
  const states = programs.map((program, d) => initialState(program, d + 1));
  const linearOf = (d: number): Linear => ({
    taskSet: taskSets[d] as readonly number[],
    weight: states[d]?.get("head.weight")?.data as Float64Array,
    bias: states[d]?.get("head.bias")?.data as Float64Array,
  });
  const losses = [jointLoss(taskSets.map((_, d) => linearOf(d)))];
  for (let pass = 0; pass < passes; pass++) {
    for (const [d, program] of programs.entries()) {
      const others = taskSets.flatMap((_, e) => (e === d ? [] : [linearOf(e)]));
      const frozen = new Float64Array(classCount * samples);
      for (let n = 0; n < samples; n++) {
        for (const [c, value] of sumOf(others, n).entries()) frozen[c * samples + n] = value;
      }
      // Each pass starts its optimizer anew, as a settling device does.
      const trained = new Set(program.inputs.filter((port) => port.role === "parameter").map((port) => port.name));
      let state = new Map(
        [...initialState(program, 1)].map(([name, fresh]) => [name, trained.has(name) ? (states[d]?.get(name) as Tensor) : fresh]),
      );
      for (let step = 0; step < 25; step++) {
        const outputs = await runners[d]?.run(
          new Map([
            ...state,
            ["image", floats("float64", [features, 1, 1, samples], image)],
            ["target", floats("float64", [classCount, samples], oneHot)],
            ["frozen", floats("float64", [classCount, samples], frozen)],
            ["learningRate", floats("float64", [], [0.15])],
          ]),
        );
        state = new Map([...state.keys()].map((name) => [name, outputs?.get(`${name}.next`) as Tensor]));
      }
      states[d] = state;
    }
    losses.push(jointLoss(taskSets.map((_, d) => linearOf(d))));
  }
  await Promise.all(runners.map((runner) => runner.close()));
  return losses;
}

describe("the joint loss", () => {
  const network = networkOf(plain, [flatten("flat"), linear("hidden", 6), relu("r"), linear("head", 3)]);

  test("has the gradient that central differences measure", async () => {
    const jointLoss = { taskSet: [1, 3], classCount };
    await checkGradients(network, { batchSize: 3, jointLoss });
    await checkGradients(network, { batchSize: 4, jointLoss, softTargets: true, labelSmoothing: 0.1 });
    await checkGradients(network, { batchSize: 1, jointLoss: { taskSet: [0, 1], classCount: 2 } });
  });

  const gradientsOf = async (label: number, frozenLabelScore: number): Promise<readonly number[]> => {
    const taskSet = [1, 3];
    const program = compileTraining(network, {
      batchSize: 1,
      optimizer: sgd,
      dtype: "float64",
      exposeGradients: true,
      jointLoss: { taskSet, classCount },
    });
    const runner = await openGraph(program.graph);
    const outputs = await runner.run(
      new Map([
        ...initialState(program, 3),
        ["image", floats("float64", [features, 1, 1, 1], [1, -1, 0.5, 2])],
        [
          "target",
          floats(
            "float64",
            [classCount, 1],
            Float64Array.from({ length: classCount }, (_, c) => Number(c === label)),
          ),
        ],
        ["frozen", floats("float64", [classCount, 1], [0, 0.5, frozenLabelScore, 1, -1])],
        ["learningRate", floats("float64", [], [0])],
      ]),
    );
    await runner.close();
    return Array.from(outputs.get("head.weight.gradient")?.data as Float64Array);
  };

  it("needs no more of a foreign sample than that it is foreign", async () => {
    const gradient = await gradientsOf(0, 0.3);
    const other = await gradientsOf(4, 0.3);
    for (const [i, g] of gradient.entries()) expect(g).toBeCloseTo(other[i] as number, 12);
    const own = await gradientsOf(1, 0.3);
    expect(own.some((g, i) => Math.abs(g - (gradient[i] as number)) > 1e-3)).toBe(true);
  });

  it("refuses a task set that does not fit the branch", () => {
    const compile = (taskSet: readonly number[]) => () =>
      compileTraining(network, { batchSize: 1, optimizer: sgd, jointLoss: { taskSet, classCount } });
    expect(compile([0, 1, 2])).toThrow(/task set of 2 different ones for a branch of 3 logits, got 0, 1, 2/);
    expect(compile([1, 1])).toThrow(/got 1, 1/);
    expect(compile([0, 9])).toThrow(/over 5 classes/);
  });
});

describe("settling linear branches in turn", () => {
  const taskSets = [
    [0, 1],
    [2, 3],
    [1, 4],
  ];

  it("comes down to the optimum that all of them trained as one would reach", async () => {
    const best = jointOptimum(taskSets);
    const losses = await settleInTurn(taskSets, 16);
    expect(losses[0]).toBeGreaterThan(best + 0.1);
    for (const [pass, loss] of losses.slice(1).entries()) expect(loss).toBeLessThan((losses[pass] as number) + 1e-9);
    expect(losses.at(-1)).toBeGreaterThan(best - 1e-6);
    expect(losses.at(-1)).toBeLessThan(best + 1e-4);
  });
});
