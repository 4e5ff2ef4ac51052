/** Training programs on a GPU by way of native ONNX Runtime: where this machine has none, that it says so. */
import { expect, it } from "vitest";
import { compileTraining } from "../compile/training.ts";
import { buildModel } from "../models/table.ts";
import { writeOnnx } from "../onnx/write.ts";
import { type Tensor, tensor } from "../util/tensor.ts";
import { hasWebGpu, openSession } from "./session.node.ts";

const found = await hasWebGpu();
if (!found) console.info("No GPU that WebGPU can use: training on one is skipped.");

const input = { channels: 3, height: 32, width: 32, mean: [0, 0, 0], std: [1, 1, 1] };
const program = compileTraining(buildModel("tiny", input, 10), {
  batchSize: 4,
  optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
  labelSmoothing: 0,
  emaDecay: 0,
});

/** Any numbers, the same for both providers; running variances stay positive. */
const feeds: Record<string, Tensor> = Object.fromEntries(
  program.inputs.map(({ name, dtype, shape }) => {
    const size = shape.reduce((product, extent) => product * extent, 1);
    return [name, tensor(dtype, shape, Float32Array.from({ length: size }, (_, i) => 0.3 + 0.2 * Math.sin(1.7 * i)) as never)];
  }),
);

const lossOf = async (provider: "cpu" | "webgpu"): Promise<number> => {
  await using session = await openSession(writeOnnx(program.graph), { provider, name: "a training step" });
  const outputs = await session.run(feeds);
  const loss = program.outputs.find(({ role }) => role === "loss")?.name ?? "";
  return Number(outputs[loss]?.data[0]);
};

it.skipIf(!found)("the same step gives the same loss on a GPU as on the processor", async () => {
  expect(await lossOf("webgpu")).toBeCloseTo(await lossOf("cpu"), 3);
});

it.skipIf(found)("a machine without one says so, and what to use", async () => {
  await expect(lossOf("webgpu")).rejects.toThrow(/no GPU that WebGPU can use .* use the provider "cpu"/);
});

it("WebAssembly is the browsers' door's", async () => {
  await expect(openSession(writeOnnx(program.graph), { provider: "wasm" })).rejects.toThrow(/has no provider "wasm"/);
});
