/** A network rewritten for training is the same function. */
import { describe, expect, test } from "vitest";
import {
  add,
  clip,
  conv,
  type Draft,
  flatten,
  hardSwish,
  inputOf,
  leakyRelu,
  linear,
  maxPool,
  networkOf,
  relu,
  sigmoid,
} from "../../test/support/networks.ts";
import { runGraph } from "../../test/support/session.ts";
import type { Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { random } from "../util/random.ts";
import { floats, sizeOf } from "../util/tensor.ts";
import { compileEvaluation } from "./evaluation.ts";
import { forTraining } from "./rewrite.ts";

const around = (...middle: readonly Draft[]): Network =>
  networkOf(inputOf(2, 8, 6), [conv("first", 4), ...middle, flatten("flat"), linear("last", 3)]);

async function logits(network: Network): Promise<readonly number[]> {
  const program = compileEvaluation(network, { batchSize: 3, dtype: "float64" });
  const source = random(7, "values");
  // By name, since a rewrite may change the order.
  const inputs = [...program.inputs].sort((a, b) => (a.name < b.name ? -1 : 1));
  const feeds = new Map(
    inputs.map(({ name, shape }) => [name, floats("float64", shape, Float64Array.from({ length: sizeOf(shape) }, source.normal))] as const),
  );
  return Array.from((await runGraph(program.graph, feeds)).get("logits")?.data as Float64Array);
}

const types = (network: Network): readonly string[] => network.layers.map((layer) => layer.type);

describe("pools before functions that never fall", () => {
  const pool = maxPool("p", [3, 2], [2, 2], [1, 0]);
  const moved: Readonly<Record<string, Draft>> = {
    relu: relu("f"),
    leakyRelu: leakyRelu("f", 0.2),
    clip: clip("f", -0.3, 0.4),
    sigmoid: sigmoid("f"),
  };
  test.each(Object.keys(moved))("%s changes places and gives the same logits", async (name) => {
    const network = around(moved[name] as Draft, pool);
    const rewritten = forTraining(network);
    expect(types(rewritten).slice(1, 3)).toEqual(["maxPool", name]);
    expect(await logits(rewritten)).toEqual(await logits(network));
  });

  const kept: Readonly<Record<string, Network>> = {
    "a leakyRelu that turns its input round": around(leakyRelu("f", -0.5), pool),
    "hardSwish, which falls below -1.5": around(hardSwish("f"), pool),
    "a relu that something else reads": around(relu("f"), maxPool("p", [3, 3], [1, 1], [1, 1]), add("sum", "p", "f")),
  };
  test.each(Object.keys(kept))("%s stays where it is", async (name) => {
    const network = kept[name] as Network;
    expect(forTraining(network)).toEqual(network);
    expect(placeLayers(network)).toBeDefined();
  });
});
