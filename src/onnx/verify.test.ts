import { describe, expect, test } from "vitest";
import { tensor } from "../util/tensor.ts";
import { GraphBuilder } from "./builder.ts";
import type { Graph, Node, Value } from "./graph.ts";
import { verify } from "./verify.ts";

/** y = relu(x + 1), parts = split(y). */
function sample(): Graph {
  const b = new GraphBuilder();
  const x = b.input("x", "float32", [4, 3]);
  const sum = b.add(x, b.float("float32", 1), "sum");
  b.output("y", b.op("Relu", [sum], {}, "rectified"));
  const [left] = b.multi("Split", [sum, b.ints([1, 3])], { axis: 0 }, 2, "parts");
  b.output("left", left as Value);
  return b.build("sample");
}

const withNodes = (graph: Graph, change: (nodes: Node[]) => Node[]): Graph => ({ ...graph, nodes: change([...graph.nodes]) });
const withValues = (graph: Graph, change: (values: Map<string, Value>) => void): Graph => {
  const values = new Map(graph.values);
  change(values);
  return { ...graph, values };
};
const nodeAt = (graph: Graph, op: string): Node => graph.nodes.find((n) => n.op === op) as Node;

describe("verify", () => {
  test("accepts what the builder writes, and returns it", () => {
    const graph = sample();
    expect(verify(graph)).toBe(graph);
  });

  const relu = (graph: Graph): Node => nodeAt(graph, "Relu");
  const broken: Readonly<Record<string, readonly [(graph: Graph) => Graph, RegExp]>> = {
    "nodes out of order": [(g) => withNodes(g, (nodes) => nodes.reverse()), /reads "sum", which nothing before it defines/],
    "an operator outside the table": [
      (g) => withNodes(g, (nodes) => nodes.map((n) => (n.op === "Relu" ? { ...n, op: "FusedConv" as "Relu" } : n))),
      /FusedConv .* not an operator of the table/,
    ],
    "too many inputs": [
      (g) => withNodes(g, (nodes) => nodes.map((n) => (n.op === "Relu" ? { ...n, inputs: ["sum", "sum"] } : n))),
      /Relu "rectified" takes 1 to 1 inputs, got 2/,
    ],
    "one name for two values": [
      (g) => withNodes(g, (nodes) => [...nodes, { ...relu(g), name: "again" }]),
      /output of Relu "again" "y" exists already/,
    ],
    "one name for two nodes": [(g) => withNodes(g, (nodes) => [...nodes, relu(g)]), /two nodes are called "rectified"/],
    "a shape that is not the inferred one": [
      (g) => withValues(g, (v) => v.set("sum", { name: "sum", dtype: "float32", shape: [3, 4] })),
      /"sum" is declared as float32\[3, 4\] but is float32\[4, 3\]/,
    ],
    "a dtype that is not the inferred one": [
      (g) => withValues(g, (v) => v.set("y", { name: "y", dtype: "float64", shape: [4, 3] })),
      /"y" is declared as float64\[4, 3\] but is float32\[4, 3\]/,
    ],
    "a value that is not declared": [(g) => withValues(g, (v) => v.delete("sum")), /"sum" is not among the declared values/],
    "a declaration without a definition": [
      (g) => withValues(g, (v) => v.set("ghost", { name: "ghost", dtype: "int64", shape: [] })),
      /"ghost" is declared but nothing defines it/,
    ],
    "an output that does not exist": [
      (g) => ({ ...g, outputs: [...g.outputs, { name: "z", dtype: "float32", shape: [] }] }),
      /nothing defines output "z"/,
    ],
    "an output given twice": [(g) => ({ ...g, outputs: [...g.outputs, g.outputs[0] as Value] }), /output "y" is given twice/],
    "an output of another type": [
      (g) => ({ ...g, outputs: g.outputs.map((o) => ({ ...o, shape: [12] })) }),
      /output "y" is declared as float32\[12\]/,
    ],
    "an initializer of the wrong length": [
      (g) => ({
        ...g,
        initializers: new Map([...g.initializers].map(([k, t]) => [k, k.includes("ints") ? { ...t, data: new BigInt64Array(5) } : t])),
      }),
      /initializer "int64_ints" of shape \[2\] has 5 values/,
    ],
    "an output too few": [
      (g) => withNodes(g, (nodes) => nodes.map((n) => (n.op === "Split" ? { ...n, outputs: n.outputs.slice(1) } : n))),
      /Split "parts" gives 2 outputs, 1 are named/,
    ],
    "shapes that do not fit": [
      (g) => {
        const wrong = { dtype: "float32", shape: [2], data: new Float32Array(2) } as const;
        const name = nodeAt(g, "Add").inputs[1] as string;
        return withValues({ ...g, initializers: new Map(g.initializers).set(name, wrong) }, (v) => v.set(name, { name, ...wrong }));
      },
      /shapes do not broadcast/,
    ],
  };
  for (const [name, [change, message]] of Object.entries(broken)) {
    test(`refuses ${name}`, () => {
      expect(() => verify(change(sample()))).toThrow(message);
    });
  }
});

describe("GraphBuilder", () => {
  test("gives every value a name of its own, in and out of scopes", () => {
    const b = new GraphBuilder();
    const x = b.input("x", "float32", [2]);
    b.output(
      "y",
      b.scope("a", () => b.op("Relu", [b.op("Relu", [b.op("Neg", [x])])])),
    );
    expect(verify(b.build("names")).nodes.map((n) => n.name)).toEqual(["a/Neg", "a/Relu", "a/Relu_2"]);
  });

  test("an output may be a graph input, a constant, a value that is read, or one value twice", () => {
    const b = new GraphBuilder();
    const x = b.input("x", "float32", [2]);
    const y = b.op("Neg", [x]);
    b.output("input", x);
    b.output("constant", b.float("float32", 3));
    b.output("first", y);
    const z = b.op("Relu", [x]);
    b.op("Abs", [z]);
    b.output("read", z);
    b.output("readAgain", z);
    expect(verify(b.build("outputs")).outputs.map((o) => o.name)).toEqual(["input", "constant", "first", "read", "readAgain"]);
  });

  test("a value that became an output may be read and given again", () => {
    const b = new GraphBuilder();
    const y = b.op("Neg", [b.input("x", "float32", [2])]);
    b.output("first", y);
    b.output("second", y);
    b.output("third", b.op("Abs", [y]));
    b.output("fourth", b.op("Neg", [y]));
    expect(verify(b.build("later")).outputs.map((o) => o.name)).toEqual(["first", "second", "third", "fourth"]);
  });

  test("shares equal small constants and tells unequal ones apart", () => {
    const b = new GraphBuilder();
    expect(b.ints([1, 2])).toBe(b.ints([1, 2]));
    expect(b.ints([1, 2])).not.toBe(b.ints([2, 1]));
    expect(b.float("float32", [1], [1])).not.toBe(b.float("float32", 1));
    expect(b.float("float32", 1)).not.toBe(b.float("float64", 1));
    const minusZero = b.constant(tensor("float32", [1], Float32Array.of(-0)));
    expect(minusZero).not.toBe(b.constant(tensor("float32", [1], Float32Array.of(0))));
  });

  test("refuses a name in use for an input or an output", () => {
    const b = new GraphBuilder();
    const x = b.input("x", "float32", [1]);
    expect(() => b.input("x", "float32", [1])).toThrow('Graph input "x" exists already');
    expect(() => b.output("x", b.op("Neg", [x]))).toThrow('Graph output "x" collides');
  });
});
