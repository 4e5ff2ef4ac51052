/** The door `sheaf/onnx`: graphs of standard ONNX operators, built, checked, printed, read and written. */
export { GraphBuilder } from "./onnx/builder.ts";
export { type Attribute, type Graph, irVersion, type Node, opsetVersion, type Value } from "./onnx/graph.ts";
export { type OpType, opRules } from "./onnx/ops.ts";
export { printGraph } from "./onnx/print.ts";
export { type ReadOptions, readOnnx } from "./onnx/read.ts";
export { verify } from "./onnx/verify.ts";
export { type WriteOptions, writeOnnx } from "./onnx/write.ts";
