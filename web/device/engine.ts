/** What a browser can train with. */

/** An execution provider of ONNX Runtime, and the threads of its operators. */
export interface Engine {
  readonly provider: "wasm" | "webgpu";
  readonly threads: number;
  /** Measured multiply-adds per second in training. */
  readonly macsPerSecond: number;
}

declare const __ORT_VERSION__: string;
/** Where the build puts ONNX Runtime's own files. */
export const runtimePath: string = `/ort/${__ORT_VERSION__}/`;

/** A candidate for people. */
export function engineName({ provider, threads }: Pick<Engine, "provider" | "threads">): string {
  if (provider === "webgpu") return "WebGPU";
  return threads > 1 ? `WebAssembly, ${threads} threads` : "WebAssembly, one thread";
}

/** What is asked of a measuring worker, and what it answers. */
export interface MeasureRequest {
  readonly provider: Engine["provider"];
  readonly threads: number;
}
export type MeasureAnswer =
  | { readonly type: "measured"; readonly macsPerSecond: number }
  | { readonly type: "unavailable"; readonly reason: string };
