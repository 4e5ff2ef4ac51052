/** Public door of the runtime in Node: native ONNX Runtime. */
export * from "./runtime/session.node.ts";
export * from "./runtime.ts";
