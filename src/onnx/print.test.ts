import { expect, test } from "vitest";
import { tensor } from "../util/tensor.ts";
import { GraphBuilder } from "./builder.ts";
import type { Graph, Value } from "./graph.ts";
import { printGraph } from "./print.ts";

function sample(table: readonly number[]): Graph {
  const b = new GraphBuilder();
  const x = b.input("x", "float32", [2, 3]);
  const y = b.scope("scaled", () => b.mul(x, b.float("float32", 0.1)));
  const gathered = b.gather(y, b.constant(tensor("int32", [9], Int32Array.from(table)), "table"), 1, "gathered");
  const [left] = b.multi("Split", [gathered, b.ints([4, 5])], { axis: 1 }, 2, "parts");
  b.output("y", b.op("Clip", [left as Value], { note: "kept", limit: { float: 0.5 }, pads: [1, 2] }));
  return b.build("sample", { author: "nobody" });
}

test("prints one value a line, long constants by range and checksum", () => {
  expect(printGraph(sample([0, 1, 2, 0, 1, 2, 0, 1, 2]))).toMatchInlineSnapshot(`
    "graph sample, opset 18
    inputs
      x: float32[2, 3]
    constants
      float32_float: float32[] = 0.1
      int32_table: int32[9] = 0 to 2, checksum 1a0c8bc6
      int64_ints: int64[2] = [4, 5]
    nodes
      scaled/Mul: float32[2, 3] = Mul(x, float32_float)
      gathered: float32[2, 9] = Gather(scaled/Mul, int32_table) {axis=1}
      parts: float32[2, 4], parts_2: float32[2, 5] = Split(gathered, int64_ints) {axis=1}
      y: float32[2, 4] = Clip(parts) {note="kept", limit=0.5f, pads=[1, 2]}
    outputs
      y: float32[2, 4]
    metadata
      author: nobody
    "
  `);
});

test("tells graphs apart that differ in one place of a long constant", () => {
  const one = printGraph(sample([0, 1, 2, 0, 1, 2, 0, 1, 2]));
  expect(printGraph(sample([0, 1, 2, 0, 1, 2, 0, 1, 2]))).toBe(one);
  expect(printGraph(sample([0, 1, 2, 0, 2, 1, 0, 1, 2]))).not.toBe(one);
});
