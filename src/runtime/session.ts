/** The seam to ONNX Runtime: what every session can do. Opened by `session.node.ts` and `session.web.ts`; only this folder knows the runtime. */
import type { Tensor } from "../util/tensor.ts";

/** Tensors by input name. */
export type Feeds = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

/** A loaded model that can be run. Runs of one session go one after another. */
export interface Session extends AsyncDisposable {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * Runs the model once. Outputs named in `into` are written into the given tensors, which must have the right dtype and shape and are
   * also returned; with `into`, only its outputs are computed. Without it all outputs are, in new tensors.
   * Throws `internal` for a missing input or a wrong shape, `unavailable` when memory runs out.
   */
  run(feeds: Feeds, into?: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  /** Frees the model. Twice is fine; a run afterwards throws `internal`. */
  dispose(): Promise<void>;
}

export interface SessionOptions {
  /** Threads inside one operator; 1 by default, which on small models beats more and gives the same bits on any number of cores. */
  readonly threads?: number;
  /** What executes the operators, where the platform has a choice. */
  readonly provider?: Provider;
  /** What the model is, for error messages; "the model" by default. */
  readonly name?: string;
}

/** `cpu` is native code in Node; `webgpu` runs there and in browsers; `wasm` in browsers, and in Node by the browsers' door. */
export type Provider = "cpu" | "wasm" | "webgpu";

/** Loads a serialized ONNX model. Throws `corrupt` when the runtime cannot load it, `unavailable` for a provider this platform lacks. */
export type OpenSession = (model: Uint8Array, options?: SessionOptions) => Promise<Session>;
