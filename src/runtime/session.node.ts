/** Sessions on native ONNX Runtime in Node. */
import { existsSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { GraphBuilder } from "../onnx/builder.ts";
import { writeOnnx } from "../onnx/write.ts";
import { SheafError } from "../util/errors.ts";
import { tensor } from "../util/tensor.ts";
import { openError, ortSession } from "./ortSession.ts";
import type { Session, SessionOptions } from "./session.ts";

/** Whether ONNX Runtime's message is about the machine's graphics and not about the model. */
const isAboutAdapter = (error: unknown): boolean => /WebGPU adapter|WebGpuContext|vulkan|RequestDevice/i.test(String(error));

/**
 * Opens a model on the CPU, or on a GPU by WebGPU. On the CPU one thread and sequential execution unless told otherwise: then the order of every sum is
 * fixed, and the same feeds give the same bits. A GPU promises that only as far as its driver does.
 * Throws `corrupt` when the model cannot be loaded, `unavailable` for a provider that this machine lacks.
 * @example await using session = await openSession(writeOnnx(graph));
 */
export async function openSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const { threads = 1, provider = "cpu", name = "the model" } = options;
  if (provider === "wasm") {
    throw new SheafError("unavailable", 'Native ONNX Runtime has no provider "wasm"; use "cpu" or "webgpu", or "wasm" in a browser.');
  }
  let inner: InferenceSession;
  try {
    inner = await InferenceSession.create(model, {
      executionProviders: [provider],
      executionMode: "sequential",
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
      // Planning one block for all tensors ahead makes training steps no faster and needs a fifth more memory; see bench/NOTES.md.
      enableMemPattern: false,
      // Errors only: its warnings are about initializers and cannot be acted on.
      logSeverityLevel: 3,
    });
  } catch (error) {
    if (provider === "webgpu" && isAboutAdapter(error)) {
      throw new SheafError(
        "unavailable",
        'This machine has no GPU that WebGPU can use (on Linux it needs a Vulkan driver); use the provider "cpu".',
        { cause: error },
      );
    }
    throw openError(error, name);
  }
  return ortSession(inner, { Tensor, writesInPlace: true }, name);
}

/** Rows of the square matrices of the probe: enough work that a GPU's way there and back does not decide. */
const probeRows = 1024;

/** Shortest of three products after one to warm up, in milliseconds; undefined where the machine lacks the provider. */
async function probeMs(provider: "cpu" | "webgpu"): Promise<number | undefined> {
  const b = new GraphBuilder();
  const shape = [probeRows, probeRows];
  const x = b.input("x", "float32", shape);
  b.output("y", b.matMul(x, x));
  const feeds = { x: tensor("float32", shape, new Float32Array(probeRows ** 2).fill(1 / probeRows)) };
  try {
    await using session = await openSession(writeOnnx(b.build("probe")), { provider, name: "a product" });
    await session.run(feeds);
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) {
      const started = performance.now();
      await session.run(feeds);
      least = Math.min(least, performance.now() - started);
    }
    return least;
  } catch (error) {
    if (error instanceof SheafError && error.code === "unavailable") return undefined;
    throw error;
  }
}

/** Whether models open on a GPU of this machine. */
export async function hasWebGpu(): Promise<boolean> {
  return (await probeMs("webgpu")) !== undefined;
}

/** Files by which drivers reach a GPU on Linux: kernel drivers, NVIDIA's own, and Windows's for a Linux within it. */
const gpuFiles = ["/dev/dri", "/dev/nvidiactl", "/dev/dxg"];

/**
 * Whether a GPU of this machine multiplies matrices faster than one of its cores; drivers that only imitate a GPU do not, and where Linux knows of no GPU they are
 * not even asked: they would write lines of their own to the terminal.
 */
export async function isWebGpuFaster(): Promise<boolean> {
  if (process.platform === "linux" && !gpuFiles.some((file) => existsSync(file))) return false;
  const gpu = await probeMs("webgpu");
  return gpu !== undefined && gpu < ((await probeMs("cpu")) ?? 0);
}
