/** One suite for every kind of session, run on native ONNX Runtime and on its WebAssembly build, both in Node. */
import { describe, expect, it } from "vitest";
import { compileTraining, initialState } from "../compile/training.ts";
import type { Network } from "../network/network.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import { writeOnnx } from "../onnx/write.ts";
import { random } from "../util/random.ts";
import { floats, type Tensor, tensor, zeros } from "../util/tensor.ts";
import { openSession as openNative } from "./session.node.ts";
import type { OpenSession, Provider, Session } from "./session.ts";
import { openSession as openWeb } from "./session.web.ts";
import { openStepper } from "./stepper.ts";

/** sum = a + b and product = a * b, of two vectors of three. */
function sumAndProduct(): Uint8Array {
  const b = new GraphBuilder();
  const [x, y] = [b.input("a", "float32", [3]), b.input("b", "float32", [3])];
  b.output("sum", b.add(x, y));
  b.output("product", b.mul(x, y));
  return writeOnnx(b.build("arithmetic"));
}

const input = { channels: 2, height: 6, width: 6, mean: [10, 20], std: [30, 40] };
/** A convolution, batch norm and a classifier of three classes. */
const network: Network = {
  name: "small",
  input,
  layers: [
    {
      type: "conv2d",
      name: "conv",
      inputs: ["input"],
      outChannels: 5,
      kernel: [3, 3],
      stride: [1, 1],
      padding: [1, 1],
      dilation: [1, 1],
      groups: 1,
      bias: false,
    },
    { type: "batchNorm", name: "bn", inputs: ["conv"], epsilon: 1e-5, momentum: 0.1 },
    { type: "relu", name: "relu", inputs: ["bn"] },
    { type: "globalAvgPool", name: "pool", inputs: ["relu"] },
    { type: "linear", name: "head", inputs: ["pool"], outFeatures: 3, bias: true },
  ],
};
const program = compileTraining(network, {
  batchSize: 4,
  optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 1e-3 },
  emaDecay: 0.9,
});
const model = writeOnnx(program.graph);

/** The step'th batch, the same for every runtime. */
function batch(step: number): { image: Float32Array; target: Float32Array } {
  const source = random(7, "batch", step);
  const target = new Float32Array(12);
  for (let n = 0; n < 4; n++) target[source.below(3) * 4 + n] = 1;
  return { image: new Float32Array(2 * 36 * 4).map(() => source.uniform() * 255), target };
}

const provider: { readonly [name: string]: Provider } = { native: "cpu", WebAssembly: "wasm" };
const finalLosses = new Map<string, number>();

function testSession(name: string, open: OpenSession): void {
  describe(`a ${name} session`, () => {
    const feeds = { a: floats("float32", [3], [1, 2, 3]), b: floats("float32", [3], [4, 5, 6]) };

    it("names its inputs and outputs and computes all outputs", async () => {
      const session = await open(sumAndProduct());
      expect([session.inputNames, session.outputNames]).toEqual([
        ["a", "b"],
        ["sum", "product"],
      ]);
      const { sum, product } = await session.run(new Map(Object.entries(feeds)));
      expect(sum).toMatchObject({ dtype: "float32", shape: [3], data: Float32Array.of(5, 7, 9) });
      expect(product?.data).toEqual(Float32Array.of(4, 10, 18));
      await session.dispose();
    });

    it("writes into given tensors, and computes those alone", async () => {
      const session = await open(sumAndProduct());
      const sum = zeros("float32", [3]);
      const results = await session.run(feeds, { sum });
      expect(Object.keys(results)).toEqual(["sum"]);
      expect(results.sum).toBe(sum);
      expect(sum.data).toEqual(Float32Array.of(5, 7, 9));
      feeds.a.data[0] = 10;
      await session.run(feeds, { sum });
      expect(sum.data).toEqual(Float32Array.of(14, 7, 9));
      feeds.a.data[0] = 1;
      await session.dispose();
    });

    it("runs calls that come at once one after another", async () => {
      const session = await open(sumAndProduct());
      const calls = [1, 2, 3].map((v) => session.run({ ...feeds, a: floats("float32", [3], [v, v, v]) }));
      expect((await Promise.all(calls)).map(({ sum }) => sum?.data[0])).toEqual([5, 6, 7]);
      await session.dispose();
    });

    it("refuses a missing input, an unknown output, a wrong shape and a wrong provider", async () => {
      const session = await open(sumAndProduct(), { name: "arithmetic" });
      await expect(session.run({ a: feeds.a })).rejects.toThrow('Input "b" of arithmetic is missing.');
      await expect(session.run(feeds, { difference: zeros("float32", [3]) })).rejects.toThrow('arithmetic has no output "difference".');
      await expect(session.run({ ...feeds, b: zeros("float32", [4]) })).rejects.toMatchObject({ code: "internal" });
      await expect(session.run(feeds, { sum: zeros("float32", [2]) })).rejects.toMatchObject({ code: "internal" });
      expect((await session.run(feeds)).sum?.data[0]).toBe(5);
      await session.dispose();
      const other = provider[name] === "cpu" ? "webgpu" : "cpu";
      await expect(open(sumAndProduct(), { provider: other })).rejects.toMatchObject({ code: "unavailable" });
    });

    it("refuses what is not a model", async () => {
      await expect(open(Uint8Array.of(1, 2, 3), { name: "model.onnx" })).rejects.toMatchObject({
        code: "corrupt",
        message: expect.stringMatching(/^ONNX Runtime cannot open model\.onnx: /),
      });
    });

    it("is disposed of any number of times, after the run under way, and then says so", async () => {
      const session = await open(sumAndProduct(), { name: "arithmetic" });
      const running = session.run(feeds);
      await Promise.all([session.dispose(), session.dispose(), session[Symbol.asyncDispose]()]);
      expect((await running).sum?.data[0]).toBe(5);
      await expect(session.run(feeds)).rejects.toThrow(/arithmetic is disposed of/);
      await session.dispose();
    });

    it("trains: the stepper's swapped buffers give what copying by hand gives, bit for bit", async () => {
      const session = await open(model);
      const stepper = openStepper(program, session, initialState(program, 3));
      const byHand = initialState(program, 3);
      const losses: number[] = [];
      for (let step = 0; step < 7; step++) {
        const { image, target } = batch(step);
        const { loss, logits } = await stepper.step(image, target, 0.05);
        const results = await session.run({
          ...Object.fromEntries(byHand),
          image: tensor("float32", [2, 6, 6, 4], image),
          target: tensor("float32", [3, 4], target),
          learningRate: floats("float32", [], [0.05]),
        });
        for (const { name: output, replaces } of program.outputs) if (replaces) byHand.set(replaces, results[output]!);
        expect(loss).toBe(results.loss?.data[0]);
        expect(logits).toEqual(results.logits?.data);
        losses.push(loss);
      }
      const state = stepper.state();
      for (const [key, value] of byHand) expect(state.get(key)?.data, key).toEqual(value.data);
      expect([...state.keys()].sort()).toEqual([...byHand.keys()].sort());
      finalLosses.set(name, losses.at(-1)!);
      await session.dispose();
    });

    it("goes on from a copied state as if it had never stopped", async () => {
      const session = await open(model);
      const initial = initialState(program, 3);
      const untouched = initialState(program, 3);
      const stepper = openStepper(program, session, initial);
      const run = async (from: number, to: number): Promise<void> => {
        for (let step = from; step < to; step++) await stepper.step(batch(step).image, batch(step).target, 0.1);
      };
      await run(0, 3);
      const middle = stepper.state();
      await run(3, 6);
      const end = stepper.state();
      expect(end).not.toEqual(middle);
      stepper.load(middle);
      await run(3, 6);
      expect(stepper.state()).toEqual(end);
      expect(initial).toEqual(untouched);
      await session.dispose();
    });
  });
}

testSession("native", openNative);
testSession("WebAssembly", openWeb);

describe("openStepper", () => {
  it("uses the same two buffers for each parameter, never one for reading and writing at once", async () => {
    await using session = await openNative(model);
    const buffers = new Map<string, Set<unknown>>();
    const watched: Session = {
      ...session,
      run(feeds, into = {}) {
        for (const { name, replaces } of program.outputs) {
          if (replaces === undefined) continue;
          const [read, written] = [(feeds as Record<string, Tensor>)[replaces]?.data, into[name]?.data];
          expect(read, name).not.toBe(written);
          buffers.set(name, new Set([...(buffers.get(name) ?? []), read, written]));
        }
        return session.run(feeds, into);
      },
    };
    const stepper = openStepper(program, watched, initialState(program, 0));
    for (let step = 0; step < 5; step++) await stepper.step(batch(step).image, batch(step).target, 0.1);
    expect(buffers.size).toBeGreaterThan(10);
    for (const [name, used] of buffers) expect(used.size, name).toBe(2);
  });

  it("refuses a state of another network, and a batch of another size", async () => {
    await using session = await openNative(model);
    const state = initialState(program, 0);
    state.delete("bn.weight");
    expect(() => openStepper(program, session, state)).toThrow(/lacks "bn\.weight" \(float32 \[5\]\)/);
    state.set("bn.weight", zeros("float32", [6]));
    expect(() => openStepper(program, session, state)).toThrow(
      /"bn\.weight" of the training state should be float32 \[5\], got float32 \[6\]/,
    );
    const stepper = openStepper(program, session, initialState(program, 0));
    await expect(stepper.step(new Float32Array(9), new Float32Array(12), 0.1)).rejects.toMatchObject({ code: "internal" });
  });
});

it("the runtimes train the same network, though not to the last bit", () => {
  expect(finalLosses.get("WebAssembly")).toBeCloseTo(finalLosses.get("native")!, 4);
});
