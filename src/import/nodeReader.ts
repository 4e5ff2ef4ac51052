/** One node of the foreign graph with what its inputs stand for: typed access to inputs and attributes, and failures that name it. */
import type { ForeignNode } from "../onnx/foreign.ts";
import type { Tensor } from "../util/tensor.ts";
import { type Activation, type Imported, numbersOf } from "./values.ts";

/** Why a node cannot be read; the walk collects these, so that all are named at once. */
export class Unreadable extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "Unreadable";
  }
}

export interface NodeReader {
  readonly node: ForeignNode;
  readonly opset: number;
  readonly inputs: readonly (Imported | undefined)[];
  /** Ends the reading of this node; `reason` is a predicate, such as "has no weights". */
  fail(reason: string): never;
  /** An input that must be an activation. */
  activation(index: number): Activation;
  /** An input that must be constant; undefined when it is left out. */
  optionalConstant(index: number): Tensor | undefined;
  constant(index: number): Tensor;
  constantInts(index: number): readonly number[];
  optionalInts(index: number): readonly number[] | undefined;
  int(name: string, fallback: number): number;
  float(name: string, fallback: number): number;
  text(name: string, fallback: string): string;
  ints(name: string): readonly number[] | undefined;
  tensor(name: string): Tensor | undefined;
  /** Axes from the attribute of older operator sets or from input `index` of newer ones. */
  axes(index: number): readonly number[] | undefined;
}

export function readNode(node: ForeignNode, opset: number, inputs: readonly (Imported | undefined)[]): NodeReader {
  const fail = (reason: string): never => {
    throw new Unreadable(reason);
  };
  const attribute = (name: string) => (Object.hasOwn(node.attributes, name) ? node.attributes[name] : undefined);
  const number =
    (type: "int" | "float") =>
    (name: string, fallback: number): number => {
      const value = attribute(name);
      if (value === undefined) return fallback;
      return value.type === type ? value.value : fail(`has an attribute ${name} that is no ${type}`);
    };
  const reader: NodeReader = {
    node,
    opset,
    inputs,
    fail,
    activation(index) {
      const value = inputs[index];
      if (value === undefined) return fail(`lacks its input ${index + 1}`);
      return value.kind === "activation" ? value : fail(`has a constant as its input ${index + 1}`);
    },
    optionalConstant(index) {
      const value = inputs[index];
      if (value === undefined) return undefined;
      return value.kind === "constant"
        ? value.tensor
        : fail(`has an input ${index + 1} ("${node.inputs[index]}") that is computed from the image; Sheaf needs a constant there`);
    },
    constant: (index) => reader.optionalConstant(index) ?? fail(`lacks its input ${index + 1}`),
    constantInts: (index) => numbersOf(reader.constant(index)),
    optionalInts(index) {
      const value = reader.optionalConstant(index);
      return value && numbersOf(value);
    },
    int: number("int"),
    float: number("float"),
    text(name, fallback) {
      const value = attribute(name);
      return value?.type === "string" ? value.value : fallback;
    },
    ints(name) {
      const value = attribute(name);
      return value?.type === "ints" ? value.value : undefined;
    },
    tensor(name) {
      const value = attribute(name);
      return value?.type === "tensor" ? value.value : undefined;
    },
    axes: (index) => reader.ints("axes") ?? reader.optionalInts(index),
  };
  return reader;
}
