/** Offsets of the loss: the gradient, and the optimum that logit adjustment promises. */
import { describe, expect, it } from "vitest";
import { checkGradients } from "../../test/support/checkGradients.ts";
import { flatten, linear, networkOf } from "../../test/support/networks.ts";
import { openGraph } from "../../test/support/session.ts";
import { floats } from "../util/tensor.ts";
import { compileTraining, initialState } from "./training.ts";

const network = networkOf({ channels: 1, height: 1, width: 1, mean: [0], std: [1] }, [flatten("flat"), linear("head", 3)]);
const sgd = { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 } as const;
/** Eight samples that look alike, of labels 0, 0, 0, 0, 0, 1, 1 and 2. */
const labels = [0, 0, 0, 0, 0, 1, 1, 2];

/** The softmax of the logits that training ends in: images are 0, so that only the bias is learnt. */
async function learnt(lossOffset?: readonly number[]): Promise<number[]> {
  const program = compileTraining(network, { batchSize: 8, optimizer: sgd, dtype: "float64", ...(lossOffset ? { lossOffset } : {}) });
  const target = Float64Array.from({ length: 24 }, (_, i) => Number(labels[i % 8] === Math.floor(i / 8)));
  let feeds = initialState(program, 1)
    .set("image", floats("float64", [1, 1, 1, 8], new Float64Array(8)))
    .set("target", floats("float64", [3, 8], target))
    .set("learningRate", floats("float64", [], [2]));
  const runner = await openGraph(program.graph);
  let logits = [0, 0, 0];
  for (let step = 0; step < 300; step++) {
    const out = await runner.run(feeds);
    logits = [0, 1, 2].map((c) => out.get("logits")?.data[8 * c] as number);
    feeds = new Map(feeds);
    for (const { name, replaces } of program.outputs)
      if (replaces) feeds.set(replaces, out.get(name) as typeof feeds extends Map<string, infer T> ? T : never);
  }
  await runner.close();
  const exponentials = logits.map(Math.exp);
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

describe("offsets of the loss", () => {
  it("of none: training ends in the labels' shares", async () => {
    for (const [c, share] of (await learnt()).entries()) expect(share).toBeCloseTo([5 / 8, 2 / 8, 1 / 8][c] as number, 6);
  });

  it("by the logarithms of the labels' shares: in equal probabilities", async () => {
    const offset = [5, 2, 1].map((count) => Math.log(count / 8));
    for (const share of await learnt(offset)) expect(share).toBeCloseTo(1 / 3, 6);
  });

  it("by half of them: in the square roots of the shares", async () => {
    const roots = [5, 2, 1].map(Math.sqrt);
    const sum = roots.reduce((a, b) => a + b, 0);
    const found = await learnt([5, 2, 1].map((count) => Math.log(count / 8) / 2));
    for (const [c, share] of found.entries()) expect(share).toBeCloseTo((roots[c] as number) / sum, 6);
  });

  it("have the right gradient", async () => {
    await checkGradients(network, { batchSize: 4, lossOffset: [-0.3, 1.2, 0.4], softTargets: true, labelSmoothing: 0.1 });
  });

  it("are one finite number for each logit", () => {
    for (const lossOffset of [
      [1, 2],
      [1, 2, Number.NaN],
    ]) {
      expect(() => compileTraining(network, { batchSize: 4, optimizer: sgd, lossOffset })).toThrow(/3 logits/);
    }
  });
});
