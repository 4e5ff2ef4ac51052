/** Sessions on native ONNX Runtime in Node. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { SheafError } from "../util/errors.ts";
import { openError, ortSession } from "./ortSession.ts";
import type { Session, SessionOptions } from "./session.ts";

/**
 * Opens a model on the CPU. One thread and sequential execution unless told otherwise: then the order of every sum is fixed, and the
 * same feeds give the same bits. Throws `corrupt` when the model cannot be loaded, `unavailable` for another provider.
 * @example await using session = await openSession(writeOnnx(graph));
 */
export async function openSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const { threads = 1, provider = "cpu", name = "the model" } = options;
  if (provider !== "cpu") {
    throw new SheafError(
      "unavailable",
      `Native ONNX Runtime has no provider "${provider}" here; use "cpu", or "wasm" and "webgpu" in a browser.`,
    );
  }
  let inner: InferenceSession;
  try {
    inner = await InferenceSession.create(model, {
      executionProviders: ["cpu"],
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
    throw openError(error, name);
  }
  return ortSession(inner, { Tensor, writesInPlace: true }, name);
}
