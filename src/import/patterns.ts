/** Several nodes that together are one operator: HardSwish as exporters of older operator sets write it, x * clip(x + 3, 0, 6) / 6. */
import type { ForeignNode } from "../onnx/foreign.ts";
import type { Tensor } from "../util/tensor.ts";

/** `factor` * clip(x / 6 + 1/2, 0, 1) of the value called `x`. */
interface Gate {
  readonly x: string;
  readonly factor: number;
}

const near = (value: number | undefined, expected: number): boolean => value !== undefined && Math.abs(value - expected) < 1e-4;

/**
 * Replaces each such pattern's last node by a HardSwish; nodes that nothing reads any more stay, for the caller to leave out.
 * `constants` holds initializers and Constant nodes' values.
 */
export function joinHardSwish(nodes: readonly ForeignNode[], constants: ReadonlyMap<string, Tensor>): readonly ForeignNode[] {
  const gates = new Map<string, Gate>();
  /** x times its gate, not yet divided. */
  const products = new Map<string, Gate>();
  const shifted = new Map<string, string>();
  const scalar = (name: string | undefined): number | undefined => {
    const value = constants.get(name ?? "");
    return value?.data.length === 1 ? Number(value.data[0]) : undefined;
  };
  /** The other input and the constant of a node with one constant. */
  const withConstant = ({ inputs: [a = "", b = ""] }: ForeignNode): readonly [string, number] | undefined => {
    const [left, right] = [scalar(a), scalar(b)];
    return right !== undefined ? [a, right] : left !== undefined ? [b, left] : undefined;
  };
  const number = (node: ForeignNode, name: string): number | undefined => {
    const value = node.attributes[name];
    return value?.type === "float" ? value.value : undefined;
  };
  return nodes.map((node) => {
    const [output = ""] = node.outputs;
    const [a = "", b = ""] = node.inputs;
    const joined = (x: string): ForeignNode => ({ ...node, op: "HardSwish", inputs: [x], attributes: {} });
    if (node.op === "Add") {
      const pair = withConstant(node);
      if (pair && near(pair[1], 3)) shifted.set(output, pair[0]);
    } else if (node.op === "Clip") {
      const x = shifted.get(a);
      const [low, high] = [number(node, "min") ?? scalar(b), number(node, "max") ?? scalar(node.inputs[2])];
      if (x !== undefined && near(low, 0) && near(high, 6)) gates.set(output, { x, factor: 6 });
    } else if (node.op === "HardSigmoid") {
      if (near(number(node, "alpha"), 1 / 6) && near(number(node, "beta") ?? 0.5, 0.5)) gates.set(output, { x: a, factor: 1 });
    } else if (node.op === "Mul" || node.op === "Div") {
      const pair = withConstant(node);
      if (pair) {
        const divides = node.op === "Div" ? near(pair[1], 6) && pair[0] === a : near(pair[1], 1 / 6);
        const [gate, product] = [gates.get(pair[0]), products.get(pair[0])];
        if (divides && gate?.factor === 6) gates.set(output, { ...gate, factor: 1 });
        if (divides && product?.factor === 6) return joined(product.x);
      } else if (node.op === "Mul") {
        const gate = gates.get(b)?.x === a ? gates.get(b) : gates.get(a)?.x === b ? gates.get(a) : undefined;
        if (gate?.factor === 1) return joined(gate.x);
        if (gate) products.set(output, gate);
      }
    }
    return node;
  });
}
