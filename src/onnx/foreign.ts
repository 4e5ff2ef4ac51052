/** An ONNX graph made elsewhere, as plain data: nothing is checked or inferred, and any operator may occur. `read.ts` gives it. */
import type { DType, Tensor } from "../util/tensor.ts";

/** An attribute with its ONNX type; `other` stands for graphs, lists of strings and tensors of types that Sheaf does not use. */
export type ForeignAttribute =
  | { readonly type: "int" | "float"; readonly value: number }
  | { readonly type: "ints" | "floats"; readonly value: readonly number[] }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "tensor"; readonly value: Tensor }
  | { readonly type: "other" };

export interface ForeignNode {
  /** The operator; with its domain before it (`com.microsoft.FusedConv`) unless that is ONNX's own. */
  readonly op: string;
  /** As in the file; `#12` for the twelfth node when it has none. */
  readonly name: string;
  /** An empty name is an optional input that was left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, ForeignAttribute>>;
}

/** What a file says of an input or output. */
export interface ForeignValue {
  readonly name: string;
  /** Undefined for types that Sheaf does not use. */
  readonly dtype: DType | undefined;
  /** Symbolic extents by name, unnamed ones as `?`; undefined when the file does not give the shape. */
  readonly shape: readonly (number | string)[] | undefined;
}

export interface ForeignGraph {
  readonly name: string;
  /** The tool that wrote the file, with its version. */
  readonly producer: string;
  /** Version of ONNX's own operator set. */
  readonly opset: number;
  /** Inputs that are not initializers. */
  readonly inputs: readonly ForeignValue[];
  readonly outputs: readonly ForeignValue[];
  /** In the file's order, which ONNX demands to be topological. */
  readonly nodes: readonly ForeignNode[];
  /** Those of a type that Sheaf uses. */
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}
