/** Which part of a foreign graph is the network: its one input and output, and the nodes between them. */
import type { FeatureShape } from "../network/network.ts";
import type { ForeignGraph, ForeignNode, ForeignValue } from "../onnx/foreign.ts";
import type { Tensor } from "../util/tensor.ts";
import { joinHardSwish } from "./patterns.ts";
import { describeShape } from "./values.ts";

export type Fail = (sentence: string) => never;

export interface PreparedGraph {
  readonly input: ForeignValue;
  readonly output: ForeignValue;
  /** Nodes that the output depends on, in topological order. */
  readonly nodes: readonly ForeignNode[];
  /** Names of all values that each live node or the model's output reads, with how often. */
  readonly uses: ReadonlyMap<string, number>;
}

/** An output that only restates another one: its softmax. */
const restatements: ReadonlySet<string> = new Set(["Softmax", "LogSoftmax"]);

/** The one output that the network ends in. A softmax given beside its logits is left out. */
function chooseOutput(graph: ForeignGraph, producer: ReadonlyMap<string, ForeignNode>, fail: Fail): ForeignValue {
  const names = new Set(graph.outputs.map((o) => o.name));
  // Some tools list an output twice.
  const distinct = graph.outputs.filter(({ name }, i) => graph.outputs.findIndex((o) => o.name === name) === i);
  const own = distinct.filter(({ name }) => {
    const node = producer.get(name);
    return !(node && restatements.has(node.op) && names.has(node.inputs[0] ?? ""));
  });
  if (own.length !== 1) {
    fail(
      `it has ${own.length} outputs (${own.map((o) => o.name).join(", ")}); Sheaf reads classifiers with one, so export the model with its logits alone`,
    );
  }
  return own[0] as ForeignValue;
}

function liveNodes(nodes: readonly ForeignNode[], output: string, start: string | undefined): readonly ForeignNode[] {
  const needed = new Set([output]);
  const live: ForeignNode[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.outputs.some((name) => needed.has(name) && name !== start)) continue;
    live.unshift(node);
    for (const name of node.inputs) if (name !== "") needed.add(name);
  }
  return live;
}

/** Nodes in an order in which each comes after what it reads; ONNX demands that of files, and not every tool obeys. */
function inOrder(nodes: readonly ForeignNode[]): readonly ForeignNode[] {
  const producer = new Map(nodes.flatMap((n) => n.outputs.map((name) => [name, n] as const)));
  const entered = new Set<ForeignNode>();
  const result: ForeignNode[] = [];
  for (const root of nodes) {
    // Not recursive: a deep network is a long chain.
    const open: { readonly node: ForeignNode; next: number }[] = [];
    const enter = (node: ForeignNode): void => {
      if (entered.has(node)) return;
      entered.add(node);
      open.push({ node, next: 0 });
    };
    enter(root);
    for (let top = open.at(-1); top; top = open.at(-1)) {
      const before = producer.get(top.node.inputs[top.next++] ?? "");
      if (before) enter(before);
      else if (top.next > top.node.inputs.length) result.push((open.pop() as { node: ForeignNode }).node);
    }
  }
  return result;
}

/** Arithmetic that models do on their input, in each branch anew where they have several. */
const repeatable: ReadonlySet<string> = new Set(["Identity", "Cast", "Add", "Sub", "Mul", "Div", "Transpose"]);

/** One node for all that compute the same of the same, so that an image normalized once in each branch is normalized once. */
function mergeRepeats(nodes: readonly ForeignNode[], kept: string): readonly ForeignNode[] {
  const seen = new Map<string, string>();
  const merged = new Map<string, string>();
  return nodes.flatMap((node) => {
    const inputs = node.inputs.map((name) => merged.get(name) ?? name);
    const [output = ""] = node.outputs;
    if (!repeatable.has(node.op) || output === kept) return [{ ...node, inputs }];
    const key = JSON.stringify([
      node.op,
      inputs,
      Object.entries(node.attributes).map(([name, a]) => [name, a.type === "tensor" ? output : a]),
    ]);
    const before = seen.get(key);
    if (before === undefined) seen.set(key, output);
    else merged.set(output, before);
    return before === undefined ? [{ ...node, inputs }] : [];
  });
}

/**
 * Takes the network out of its graph. With `start`, a value inside of it, what comes before that is left out and the value is the input.
 * Throws (through `fail`) unless the model has one input of float32 and one output.
 */
export function prepareGraph(graph: ForeignGraph, start: ForeignValue | undefined, fail: Fail): PreparedGraph {
  const constants = new Map<string, Tensor>(graph.initializers);
  for (const { op, outputs, attributes } of graph.nodes) {
    const value = attributes.value;
    if (op === "Constant" && value?.type === "tensor") constants.set(outputs[0] ?? "", value.value);
  }
  const all = joinHardSwish(inOrder(graph.nodes), constants);
  const output = chooseOutput(graph, new Map(all.flatMap((n) => n.outputs.map((name) => [name, n] as const))), fail);
  const nodes = liveNodes(mergeRepeats(all, output.name), output.name, start?.name);
  const uses = new Map<string, number>([[output.name, 1]]);
  for (const name of nodes.flatMap((n) => n.inputs)) uses.set(name, (uses.get(name) ?? 0) + 1);
  const inputs = (start ? [...graph.inputs, start] : graph.inputs).filter(({ name }) => uses.has(name));
  if (inputs.length !== 1)
    fail(`it has ${inputs.length} inputs (${inputs.map((i) => i.name).join(", ")}); Sheaf reads networks with one, the image`);
  const input = inputs[0] as ForeignValue;
  if (input.dtype !== "float32")
    fail(`its input "${input.name}" is ${input.dtype ?? "of a type that Sheaf does not use"}; Sheaf feeds float32`);
  return { input, output, nodes, uses };
}

/** Operators that may stand between an input and the transposition that puts its channels first. */
const beforeTransposition: ReadonlySet<string> = new Set(["Identity", "Cast", "Add", "Sub", "Mul", "Div", "Pad"]);

/** Whether the input has its channels last: told by a transposition to channels first right behind it, as tf2onnx writes it. */
export function hasChannelsLast({ input, nodes, uses }: PreparedGraph): boolean {
  let name = input.name;
  while (uses.get(name) === 1) {
    const reader = nodes.find((n) => n.inputs.includes(name)) as ForeignNode | undefined;
    const perm = reader?.attributes.perm;
    if (reader?.op === "Transpose" && perm?.type === "ints") return perm.value.join() === "0,3,1,2";
    if (!reader || !beforeTransposition.has(reader.op)) return false;
    name = reader.outputs[0] ?? "";
  }
  return false;
}

export interface InputShape {
  /** As the graph is read: batch first, 1 where the file leaves it open. */
  readonly shape: readonly number[];
  /** The batch size, where the file fixes it. */
  readonly batch: number | undefined;
  readonly feature: FeatureShape;
}

/** The input's extents, from the file and, where it leaves them open, from `asked`. */
export function inputShapeOf({ input }: PreparedGraph, channelsLast: boolean, asked: FeatureShape | undefined, fail: Fail): InputShape {
  const declared =
    input.shape ?? (asked ? ["N", "?", "?", "?"] : fail(`its input "${input.name}" has no shape; say what goes in with --input CxHxW`));
  const rank = declared.length;
  if (rank < 2 || rank > 4)
    fail(`its input "${input.name}" is ${describeShape(declared)}; Sheaf reads images [N, C, H, W] and vectors [N, features]`);
  const order = (f: FeatureShape): number[] => (channelsLast ? [f.height, f.width, f.channels] : [f.channels, f.height, f.width]);
  const given = asked && rank === 4 ? order(asked) : asked && [asked.channels, asked.height, asked.width].slice(0, rank - 1);
  const sample = declared.slice(1).map((extent, i) => {
    const own = given?.[i];
    if (typeof extent === "number") {
      if (own !== undefined && own !== extent)
        fail(
          `its input "${input.name}" is ${describeShape(declared)}, which ${(given ?? []).join("x")} does not fit; leave --input out or give what fits`,
        );
      return extent;
    }
    return (
      own ??
      fail(
        `its input "${input.name}" is ${describeShape(declared)}: "${extent}" is left open; say what goes in with --input CxHxW, such as --input 3x32x32`,
      )
    );
  });
  const [batch] = declared;
  const [a = 1, b = 1, c = 1] = sample;
  const feature = channelsLast ? { channels: c, height: a, width: b } : { channels: a, height: b, width: c };
  return { shape: [typeof batch === "number" ? batch : 1, ...sample], batch: typeof batch === "number" ? batch : undefined, feature };
}
