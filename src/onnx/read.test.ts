import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SheafError } from "../util/errors.ts";
import { type DType, integers, sizeOf, type Tensor, tensor, zeros } from "../util/tensor.ts";
import { GraphBuilder } from "./builder.ts";
import type { Attribute, Graph, Value } from "./graph.ts";
import { readForeign, readOnnx } from "./read.ts";
import { verify } from "./verify.ts";
import { writeOnnx } from "./write.ts";

const shape = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });
const dtype = fc.constantFrom<DType>("float32", "float64", "int32", "int64", "uint8", "bool");

/** A tensor of any dtype filled with arbitrary bits. */
function bits(type: DType, extents: readonly number[], seed: number): Tensor {
  const result = zeros(type, extents);
  for (let i = 0; i < sizeOf(extents); i++) {
    const value = Math.trunc(Math.sin(seed + i) * 1e6);
    result.data[i] =
      type === "int64" ? BigInt(value) * 4_000_000_000n : type === "bool" ? value & 1 : value / (type.startsWith("float") ? 7 : 1);
  }
  return result;
}

const steps = fc.array(fc.record({ kind: fc.nat(6), seed: fc.nat(1000), type: dtype, shape }), { maxLength: 12 });

/** A graph of every kind of attribute, dtype and arity, drawn. */
const graphs: fc.Arbitrary<Graph> = fc
  .record({ steps, name: fc.string(), doc: fc.string(), metadata: fc.dictionary(fc.string(), fc.string()) })
  .map(({ steps, name, doc, metadata }) => {
    const b = new GraphBuilder();
    let x = b.input("x", "float64", [2, 3, 4]);
    for (const { kind, seed, type, shape } of steps) {
      if (kind === 0) x = b.add(x, b.float("float64", seed / 3));
      if (kind === 1) x = b.transpose(x, [2, 0, 1]);
      if (kind === 2) x = b.reshape(x, [...x.shape].reverse());
      if (kind === 3) b.output(`o${seed}_${b.build("").outputs.length}`, b.cast(b.constant(bits(type, shape, seed), "drawn"), "float32"));
      if (kind === 4) x = b.op("Softmax", [x], { axis: 1, note: "text", scale: { float: Math.fround(seed / 7) } as Attribute });
      if (kind === 5)
        x = b.concat(b.multi("Split", [x, b.ints(new Array(x.shape[0] as number).fill(1))], { axis: 0 }, x.shape[0] as number), 0);
      if (kind === 6) b.output(`m${seed}_${b.build("").outputs.length}`, b.op("ArgMax", [x], { axis: -1, keepdims: seed % 2 }));
    }
    b.output("result", x);
    return b.build(name, metadata, doc);
  });

describe("readOnnx", () => {
  test("gives back what writeOnnx was given", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const again = readOnnx(writeOnnx(verify(graph)));
        expect(again).toEqual(graph);
        verify(again);
      }),
      { seed: 3, numRuns: 100 },
    );
  });

  test("writes the same bytes again", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const bytes = writeOnnx(graph);
        expect(writeOnnx(readOnnx(bytes))).toEqual(bytes);
        expect(writeOnnx(readOnnx(Buffer.from(bytes)))).toEqual(bytes);
      }),
      { seed: 4, numRuns: 30 },
    );
  });

  const small = (): Graph => {
    const b = new GraphBuilder();
    const x = b.input("image", "float32", [1, 2, 4, 4]);
    const weight = b.constant(bits("float32", [5, 2, 3, 3], 1), "weight");
    const y = b.op("Conv", [x, weight], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    b.output("logits", b.op("Flatten", [b.op("GlobalAveragePool", [y])], { axis: 1 }));
    return b.build("small", { classNames: '["a"]' });
  };

  test("puts -1, or what it is told, for the batch axis", () => {
    const bytes = writeOnnx(small(), { batchAxis: "N" });
    expect(readOnnx(bytes).inputs[0]?.shape).toEqual([-1, 2, 4, 4]);
    expect(readOnnx(bytes).outputs[0]?.shape).toEqual([-1, 5]);
    expect(readOnnx(bytes, { symbolicExtent: 1 })).toEqual(small());
  });

  test("reads from bytes that lie anywhere in memory", () => {
    const bytes = writeOnnx(small());
    const shifted = new Uint8Array(bytes.length + 3).subarray(3);
    shifted.set(bytes);
    expect(readOnnx(shifted)).toEqual(small());
  });

  const failure = (bytes: Uint8Array): SheafError => {
    try {
      readOnnx(bytes, { what: "model.onnx" });
    } catch (error) {
      if (error instanceof SheafError) return error;
      throw error;
    }
    throw new Error("Nothing was thrown.");
  };

  test("refuses a file cut short anywhere", () => {
    const { metadata: _, ...rest } = small();
    const bytes = writeOnnx({ ...rest, metadata: {} });
    // The operator set's number comes last in such a file, so that every cut loses something that is needed.
    for (let length = 0; length < bytes.length; length++) {
      expect(failure(bytes.subarray(0, length)).code, `${length} of ${bytes.length} bytes`).toBe("corrupt");
    }
  });

  test("throws nothing but `corrupt` on changed bytes", () => {
    const bytes = writeOnnx(small());
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), (changes) => {
        const changed = bytes.slice();
        for (const [at, value] of changes) changed[at] = value;
        try {
          readOnnx(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(SheafError);
          expect((error as SheafError).code).toBe("corrupt");
        }
      }),
      { seed: 5, numRuns: 500 },
    );
  });

  test("says what is wrong", () => {
    expect(failure(new Uint8Array()).message).toBe("model.onnx cannot be read: it holds no graph; expected an ONNX model.");
    expect(failure(new TextEncoder().encode("<!doctype html>")).message).toMatch(/not an ONNX model, or it was cut short/);
    const graph = small();
    const foreign = { ...graph, nodes: graph.nodes.map((n) => (n.op === "Conv" ? { ...n, op: "ConvTranspose" as "Conv" } : n)) };
    expect(failure(writeOnnx(foreign)).message).toMatch(
      /node "Conv" \(ConvTranspose\) is an operator that Sheaf does not know; it knows Abs,/,
    );
    const name = [...graph.initializers.keys()][0] as string;
    const short = { ...graph, initializers: new Map([[name, { ...tensor("float32", [1], new Float32Array(1)), shape: [5, 2, 3, 3] }]]) };
    expect(failure(writeOnnx(short)).message).toMatch(/initializer "weight" of shape \[5, 2, 3, 3\] needs 360 bytes, got 4/);
    const dangling = { ...graph, nodes: graph.nodes.slice(1) };
    expect(failure(writeOnnx(dangling)).message).toMatch(/reads "Conv", which nothing before it defines/);
    const other = { ...graph, outputs: [{ name: "ghost", dtype: "float32", shape: [] } as Value] };
    expect(failure(writeOnnx(other)).message).toMatch(/nothing defines its output "ghost"/);
  });

  test("keeps integers beyond 2^53", () => {
    const b = new GraphBuilder();
    b.output("y", b.constant(tensor("int64", [2], BigInt64Array.of(2n ** 62n + 1n, -(2n ** 63n)))));
    expect([
      ...(readOnnx(writeOnnx(b.build("wide")))
        .initializers.values()
        .next().value?.data ?? []),
    ]).toEqual([2n ** 62n + 1n, -(2n ** 63n)]);
    expect(integers([1], [-5]).data[0]).toBe(-5n);
  });
});

describe("readForeign", () => {
  const fixture = (name: string): Uint8Array => readFileSync(`test/fixtures/import/${name}.onnx`);

  test("gives the nodes, shapes and weights of a model of any operator set", () => {
    const graph = readForeign(fixture("old-opset7"));
    expect([graph.opset, graph.producer]).toEqual([7, "onnx.helper"]);
    expect(graph.inputs).toEqual([{ name: "data", dtype: "float32", shape: [2, 3, 8, 8] }]);
    const clip = graph.nodes.find((n) => n.op === "Clip");
    expect(clip).toEqual({ op: "Clip", name: "#8", inputs: ["s1"], outputs: ["r1"], attributes: clip?.attributes });
    expect(clip?.attributes.max).toEqual({ type: "float", value: 6 });
    expect(graph.initializers.get("w1")?.shape).toEqual([4, 3, 3, 3]);
    expect(() => readOnnx(fixture("old-opset7"))).toThrow(/it uses ONNX operator set 7, Sheaf reads 18/);
  });

  test("keeps the names of open extents and the places of inputs left out", () => {
    expect(readForeign(fixture("resnet-opset17")).inputs[0]?.shape).toEqual(["batch", 3, "height", "width"]);
    const clip = readForeign(fixture("channels-last-opset13")).nodes.find((n) => n.op === "Clip");
    expect(clip?.inputs).toEqual(["flat", "", "three"]);
  });

  test("reads what Sheaf writes, and refuses what is no model", () => {
    const b = new GraphBuilder();
    b.output("y", b.op("Relu", [b.input("x", "float32", [1, 2])], {}, "relu"));
    const graph = readForeign(writeOnnx(b.build("small", { key: "value" }), { batchAxis: "N", producerVersion: "1.0" }));
    expect(graph.nodes).toEqual([{ op: "Relu", name: "relu", inputs: ["x"], outputs: ["y"], attributes: {} }]);
    expect([graph.name, graph.producer, graph.metadata]).toEqual(["small", "sheaf 1.0", { key: "value" }]);
    expect(() => readForeign(new Uint8Array(), { what: "x.onnx" })).toThrow(
      "x.onnx cannot be read: it holds no graph; expected an ONNX model.",
    );
  });

  test("names the file in which weights lie", () => {
    const bytes = fixture("external-opset13");
    expect(() => readForeign(bytes, { what: "x.onnx" })).toThrow(
      "x.onnx cannot be read: 1 of its weights lie in another file (weights.bin); save the model as one file.",
    );
  });
});
