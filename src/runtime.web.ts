/** Public door of the runtime in browsers: ONNX Runtime on WebAssembly or WebGPU. */
export * from "./runtime/session.web.ts";
export * from "./runtime.ts";
