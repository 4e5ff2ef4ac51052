/** The ONNX graph as plain data. Shapes are static; only `read.ts` and `write.ts` know protobuf. */
import type { DType, Shape, Tensor } from "../util/tensor.ts";
import type { OpType } from "./ops.ts";

/** A named, typed edge of the graph. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

export type Attribute = number | string | readonly number[] | FloatAttribute;
/** A float attribute: JavaScript cannot tell 1 from 1.0, ONNX can. */
export interface FloatAttribute {
  readonly float: number;
}

export interface Node {
  readonly op: OpType;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A model: nodes in topological order. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Every value's type and shape by name, inputs and initializers included. */
  readonly values: ReadonlyMap<string, Value>;
  /** Key and value pairs of the model's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly doc: string;
}

/** Operator set of every graph that Sheaf writes. */
export const opsetVersion = 18;
/** ONNX IR version that belongs to the operator set. */
export const irVersion = 8;
