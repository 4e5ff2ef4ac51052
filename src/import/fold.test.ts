/** Arithmetic on constants, held against ONNX Runtime: each case is a graph that computes the same of an input. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runGraph } from "../../test/support/session.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { ForeignNode } from "../onnx/foreign.ts";
import type { Attribute, Value } from "../onnx/graph.ts";
import { type OpType, onnxDType } from "../onnx/ops.ts";
import { integers, sizeOf, type Tensor } from "../util/tensor.ts";
import { folds } from "./fold.ts";
import { readNode } from "./nodeReader.ts";

type Attributes = Readonly<Record<string, Attribute>>;

/** The fold's answer. */
function folded(op: string, inputs: readonly Tensor[], attributes: Attributes = {}): Tensor {
  const entries = Object.entries(attributes).map(([name, value]) => [
    name,
    Array.isArray(value) ? { type: "ints", value } : { type: "int", value },
  ]);
  const node: ForeignNode = {
    op,
    name: op,
    inputs: inputs.map((_, i) => `i${i}`),
    outputs: ["o"],
    attributes: Object.fromEntries(entries),
  };
  const reader = readNode(
    node,
    18,
    inputs.map((tensor) => ({ kind: "constant", tensor })),
  );
  const fold = folds[op];
  if (!fold) throw new Error(`no fold for ${op}`);
  return fold(reader, inputs);
}

/** ONNX Runtime's answer, the first input fed and the others constant. */
async function computed(op: OpType, [first, ...rest]: readonly Tensor[], attributes: Attributes = {}): Promise<Tensor> {
  if (!first) throw new Error("no input");
  const b = new GraphBuilder();
  const inputs: Value[] = [b.input("x", first.dtype, first.shape), ...rest.map((t, i) => b.parameter(`c${i}`, t))];
  b.output("y", b.op(op, inputs, attributes));
  return (await runGraph(b.build("fold"), new Map([["x", first]]))).get("y") as Tensor;
}

async function expectSame(op: OpType, inputs: readonly Tensor[], attributes: Attributes = {}): Promise<void> {
  const [got, expected] = [folded(op, inputs, attributes), await computed(op, inputs, attributes)];
  expect([got.dtype, got.shape, Array.from(got.data as ArrayLike<number | bigint>, Number)]).toEqual([
    expected.dtype,
    expected.shape,
    Array.from(expected.data as ArrayLike<number | bigint>, Number),
  ]);
}

const counted = (shape: readonly number[], from = -3): Tensor =>
  integers(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => 3 * i + from),
  );
const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 });
const options = { seed: 1, numRuns: 15 };

describe("folds", () => {
  test("move values as ONNX Runtime does", async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat(100), async (shape, seed) => {
        const x = counted(shape);
        const axis = seed % shape.length;
        const perm = shape.map((_, i) => (i + axis) % shape.length);
        await expectSame("Transpose", [x], { perm });
        await expectSame("Concat", [x, x, counted(shape, 5)], { axis });
        await expectSame("Gather", [x, integers([2, 1], [seed % (shape[axis] as number), 0])], { axis });
        await expectSame("Reshape", [x, integers([2], [-1, shape[axis] as number])]);
        await expectSame("Expand", [x, integers([shape.length + 1], [2, ...shape])]);
      }),
      options,
    );
  });

  test("slice forwards, from the end and by steps", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: -6, max: 6 }),
        fc.integer({ min: -6, max: 6 }),
        fc.integer({ min: 1, max: 3 }),
        async (start, end, step) => {
          const clamp = (e: number): number => Math.min(Math.max(e < 0 ? e + 5 : e, 0), 5);
          fc.pre(clamp(end) > clamp(start));
          await expectSame("Slice", [
            counted([2, 5]),
            integers([1], [start]),
            integers([1], [end]),
            integers([1], [1]),
            integers([1], [step]),
          ]);
        },
      ),
      options,
    );
  });

  test("slice backwards, as PyTorch turns its paddings round", () => {
    const slice = (start: number, end: number, step: number): number[] =>
      Array.from(
        folded("Slice", [integers([5], [0, 1, 2, 3, 4]), ...[start, end, 0, step].map((v) => integers([1], [v]))]).data as BigInt64Array,
        Number,
      );
    expect(slice(-1, -(2 ** 53), -1)).toEqual([4, 3, 2, 1, 0]);
    expect(slice(3, 0, -2)).toEqual([3, 1]);
  });

  test("calculate with broadcasting, integers cut towards zero", async () => {
    const [a, b] = [counted([3, 2], -8), integers([1, 2], [3, -2])];
    for (const op of ["Add", "Sub", "Mul", "Div"] as const) await expectSame(op, [a, b]);
    const x: Tensor = { dtype: "float32", shape: [4], data: Float32Array.of(-1.7, 0, 0.1, 2.5) };
    await expectSame("Cast", [x], { to: onnxDType.int64 });
    await expectSame("Cast", [x], { to: onnxDType.bool });
    await expectSame("Floor", [x]);
    await expectSame("Mul", [x, { dtype: "float32", shape: [], data: Float32Array.of(0.3) }]);
  });

  test("refuse what makes no sense, in words that follow the node's name", () => {
    expect(() => folded("Reshape", [counted([2, 3]), integers([1], [4])])).toThrow("cannot make [4] of [2, 3]");
    expect(() => folded("Gather", [counted([2]), integers([1], [2])], { axis: 0 })).toThrow("reads outside an axis of 2");
    expect(() => folded("Add", [counted([2]), counted([3])])).toThrow("has inputs whose shapes do not go together");
    expect(() => folded("Squeeze", [counted([2, 1]), integers([1], [0])])).toThrow("squeezes an axis of [2, 1] that is longer than 1");
  });
});
