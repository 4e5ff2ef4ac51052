/** Arithmetic with constants, which is normalization or bias, and what brings activations together. */
import { sameShape } from "../../util/tensor.ts";
import type { Draft } from "../draft.ts";
import type { NodeReader } from "../nodeReader.ts";
import { type Activation, describeShape, type Imported } from "../values.ts";
import { type Family, type Operator, perChannel } from "./operator.ts";

function sum(node: NodeReader, draft: Draft, values: readonly Imported[]): Activation {
  const parts = values.map((_, i) => node.activation(i));
  const [first] = parts as [Activation];
  for (const other of parts) {
    if (!sameShape(first.shape, other.shape))
      node.fail(`adds ${describeShape(first.shape)} and ${describeShape(other.shape)}; Sheaf adds activations of one shape`);
    if (first.channelAxis !== other.channelAxis || first.flattenedFrom !== other.flattenedFrom)
      node.fail("adds activations whose axes lie differently");
  }
  return draft.emit(node.node, "add", {}, parts, { nonNegative: parts.every((p) => p.nonNegative) });
}

/** `scale` and `shift` of one channel from the constant's value there; `constantFirst` tells c - x from x - c. */
type Form = (value: number, constantFirst: boolean) => readonly [scale: number, shift: number] | undefined;

function arithmetic(form: Form, ofActivations: (node: NodeReader, draft: Draft) => Activation): Operator {
  return (node, draft) => {
    const [a, b] = node.inputs;
    if (!a || !b) return node.fail("needs two inputs");
    if (a.kind === "activation" && b.kind === "activation") return ofActivations(node, draft);
    const constantFirst = a.kind === "constant";
    const x = node.activation(constantFirst ? 1 : 0);
    const values = perChannel(node, node.constant(constantFirst ? 0 : 1), x);
    const forms = values.map((v) => form(v, constantFirst) ?? node.fail("divides a constant by an activation"));
    return draft.affine(
      node.node,
      x,
      forms.map(([scale]) => scale),
      forms.map(([, shift]) => shift),
    );
  };
}

const between = (what: string) => (node: NodeReader) => node.fail(`${what} two activations; Sheaf has no such layer`);

const concat: Operator = (node, draft) => {
  const parts = node.inputs.map((_, i) => node.activation(i));
  const [first] = parts as [Activation];
  const asked = node.int("axis", 1);
  const axis = asked < 0 ? asked + first.shape.length : asked;
  if (parts.some((p) => p.channelAxis !== axis || p.shape.length !== first.shape.length))
    node.fail(`joins along axis ${asked}; Sheaf joins channels`);
  if (parts.some((p) => p.flattenedFrom)) node.fail("joins vectors that were flattened with their channels last");
  if (parts.length === 1) return first;
  return draft.emit(node.node, "concat", {}, parts, { nonNegative: parts.every((p) => p.nonNegative) });
};

export type CombiningOperator = "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Concat";

export const combiningOperators: Family<CombiningOperator> = {
  Add: arithmetic(
    (v) => [1, v],
    (node, draft) => sum(node, draft, node.inputs as readonly Imported[]),
  ),
  Sub: arithmetic((v, constantFirst) => (constantFirst ? [-1, v] : [1, -v]), between("subtracts")),
  Mul: arithmetic((v) => [v, 0], between("multiplies")),
  Div: arithmetic((v, constantFirst) => (constantFirst ? undefined : [1 / v, 0]), between("divides")),
  Sum: (node, draft) => (node.inputs.length === 1 ? node.activation(0) : sum(node, draft, node.inputs as readonly Imported[])),
  Concat: concat,
};
