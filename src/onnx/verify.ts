/** Holds a graph against the rules: what `GraphBuilder` promises and every transformation must keep. */
import { SheafError } from "../util/errors.ts";
import { type Shape, sameShape, sizeOf, type Tensor } from "../util/tensor.ts";
import type { Graph, Node, Value } from "./graph.ts";
import { type OpRule, opRules } from "./ops.ts";

const text = (v: Pick<Value, "dtype" | "shape">): string => `${v.dtype}[${v.shape.join(", ")}]`;
const sameType = (a: Pick<Value, "dtype" | "shape">, b: Pick<Value, "dtype" | "shape">): boolean =>
  a.dtype === b.dtype && sameShape(a.shape, b.shape);

/** What is known while the nodes are walked in order. */
interface Walk {
  readonly graph: Graph;
  /** Values that exist so far. */
  readonly defined: Map<string, Value>;
  fail(sentence: string): never;
}

function define(walk: Walk, name: string, dtype: Value["dtype"], shape: Shape, what: string): void {
  if (name === "") walk.fail(`${what} has no name`);
  if (walk.defined.has(name)) walk.fail(`${what} "${name}" exists already; every value has one definition`);
  const declared = walk.graph.values.get(name) ?? walk.fail(`${what} "${name}" is not among the declared values`);
  if (declared.name !== name) walk.fail(`the declared value under "${name}" is called "${declared.name}"`);
  if (!sameType(declared, { dtype, shape })) {
    walk.fail(`${what} "${name}" is declared as ${text(declared)} but is ${text({ dtype, shape })}`);
  }
  walk.defined.set(name, declared);
}

function defineConstant(walk: Walk, name: string, value: Tensor): void {
  define(walk, name, value.dtype, value.shape, "initializer");
  if (value.data.length !== sizeOf(value.shape)) {
    walk.fail(`initializer "${name}" of shape [${value.shape.join(", ")}] has ${value.data.length} values`);
  }
}

function checkNode(walk: Walk, node: Node): void {
  const where = `${node.op} "${node.name}"`;
  if (!Object.hasOwn(opRules, node.op)) walk.fail(`${where} is not an operator of the table in src/onnx/ops.ts`);
  const rule: OpRule = opRules[node.op];
  const [least, most] = rule.arity;
  if (node.inputs.length < least || node.inputs.length > most) {
    walk.fail(`${where} takes ${least} to ${most} inputs, got ${node.inputs.length}`);
  }
  const inputs = node.inputs.map(
    (name) => walk.defined.get(name) ?? walk.fail(`${where} reads "${name}", which nothing before it defines`),
  );
  const inferred = rule.infer({
    op: node.op,
    name: node.name,
    inputs,
    attributes: node.attributes,
    outputCount: node.outputs.length,
    constant: (i) => walk.graph.initializers.get(node.inputs[i] ?? ""),
  });
  if (inferred.length !== node.outputs.length) walk.fail(`${where} gives ${inferred.length} outputs, ${node.outputs.length} are named`);
  node.outputs.forEach((name, i) => {
    const { dtype, shape } = inferred[i] as Value;
    define(walk, name, dtype, shape, `output of ${where}`);
  });
}

/**
 * Checks that `graph` is well-formed: nodes in topological order, every name defined once, operators of the table with the
 * right number of inputs, declared types equal to the inferred ones, outputs that exist, and nothing declared in excess.
 * Returns the graph, so that a check can stand around an expression. Throws `internal` at the first violation.
 */
export function verify(graph: Graph): Graph {
  const walk: Walk = {
    graph,
    defined: new Map(),
    fail(sentence) {
      throw new SheafError("internal", `Graph "${graph.name}": ${sentence}.`);
    },
  };
  for (const { name, dtype, shape } of graph.inputs) define(walk, name, dtype, shape, "graph input");
  for (const [name, value] of graph.initializers) defineConstant(walk, name, value);
  const nodeNames = new Set<string>();
  for (const node of graph.nodes) {
    if (nodeNames.has(node.name)) walk.fail(`two nodes are called "${node.name}"`);
    nodeNames.add(node.name);
    checkNode(walk, node);
  }
  const outputs = new Set<string>();
  for (const output of graph.outputs) {
    if (outputs.has(output.name)) walk.fail(`output "${output.name}" is given twice`);
    outputs.add(output.name);
    const value = walk.defined.get(output.name) ?? walk.fail(`nothing defines output "${output.name}"`);
    if (!sameType(value, output)) walk.fail(`output "${output.name}" is declared as ${text(output)} but is ${text(value)}`);
  }
  for (const name of graph.values.keys()) if (!walk.defined.has(name)) walk.fail(`"${name}" is declared but nothing defines it`);
  return graph;
}
