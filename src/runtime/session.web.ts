/** Sessions on ONNX Runtime in browsers: WebAssembly or WebGPU. Its WebAssembly form runs in Node too. */
import type { InferenceSession, TensorConstructor } from "onnxruntime-common";
import { SheafError } from "../util/errors.ts";
import { openError, ortSession } from "./ortSession.ts";
import type { Session, SessionOptions } from "./session.ts";

interface OrtWeb {
  readonly env: { readonly wasm: { numThreads?: number; wasmPaths?: string | object } };
  readonly InferenceSession: { create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> };
  readonly Tensor: TensorConstructor;
}

/** Each provider's package is loaded when first asked for. */
const packages = {
  wasm: (): Promise<OrtWeb> => import("onnxruntime-web"),
  webgpu: (): Promise<OrtWeb> => import("onnxruntime-web/webgpu"),
} as const;

let runtimeFiles: string | undefined;

/** Where ONNX Runtime's own files (`ort-wasm-*`) are fetched from, a path that ends in a slash; where the library itself was loaded from by default. */
export function useRuntimeFiles(path: string): void {
  runtimeFiles = path;
}

function hasWebGpu(): boolean {
  const { navigator } = globalThis as { readonly navigator?: object };
  return navigator !== undefined && "gpu" in navigator;
}

/**
 * Opens a model on WebAssembly (the default) or WebGPU. `threads` counts for the first session of a page alone, and more than one needs
 * a cross-origin isolated page. Throws `corrupt` when the model cannot be loaded, `unavailable` for a provider this platform lacks.
 */
export async function openSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const { threads = 1, provider = "wasm", name = "the model" } = options;
  if (provider === "cpu") throw new SheafError("unavailable", 'A browser has no provider "cpu"; use "wasm" or "webgpu".');
  if (provider === "webgpu" && !hasWebGpu()) {
    throw new SheafError("unavailable", 'This platform has no WebGPU; use the provider "wasm".');
  }
  const ort = await packages[provider]();
  ort.env.wasm.numThreads = threads;
  if (runtimeFiles !== undefined) ort.env.wasm.wasmPaths = runtimeFiles;
  let inner: InferenceSession;
  try {
    inner = await ort.InferenceSession.create(model, {
      executionProviders: [provider],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
    });
  } catch (error) {
    throw openError(error, name);
  }
  // Given output tensors in the page's memory are read but never written by the WebAssembly build, so results are copied.
  return ortSession(inner, { Tensor: ort.Tensor, writesInPlace: false }, name);
}
