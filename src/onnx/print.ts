/** A graph as stable, readable text: one value a line. For people and for golden files, not for reading back. */
import type { Tensor } from "../util/tensor.ts";
import { type Attribute, type Graph, type Node, opsetVersion, type Value } from "./graph.ts";

/** Constants of more values than this show their extremes and a checksum instead. */
const longestConstant = 8;

const type = (v: Pick<Value, "dtype" | "shape">): string => `${v.dtype}[${v.shape.join(", ")}]`;

/** float32 holds seven digits; further ones would be noise. */
function number(value: number | bigint, dtype: Tensor["dtype"]): string {
  return dtype === "float32" ? String(Number((value as number).toPrecision(7))) : String(value);
}

/** 32-bit FNV-1a over the bytes: tells one table from another, no more. */
function checksum({ data }: Tensor): string {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

function constant(value: Tensor): string {
  const items = Array.from(value.data as ArrayLike<number | bigint>);
  const show = (x: number | bigint): string => number(x, value.dtype);
  if (value.shape.length === 0) return show(items[0] as number);
  if (items.length <= longestConstant) return `[${items.map(show).join(", ")}]`;
  let [least, most] = [items[0] as number, items[0] as number];
  for (const x of items as number[]) {
    if (x < least) least = x;
    if (x > most) most = x;
  }
  return `${show(least)} to ${show(most)}, checksum ${checksum(value)}`;
}

function attribute(value: Attribute): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  return "float" in value ? `${value.float}f` : `[${value.join(", ")}]`;
}

function node(graph: Graph, { op, inputs, outputs, attributes }: Node): string {
  const results = outputs.map((name) => {
    const value = graph.values.get(name);
    return value ? `${name}: ${type(value)}` : name;
  });
  const settings = Object.entries(attributes).map(([key, value]) => `${key}=${attribute(value)}`);
  return `${results.join(", ")} = ${op}(${inputs.join(", ")})${settings.length > 0 ? ` {${settings.join(", ")}}` : ""}`;
}

/**
 * The text form of a graph: inputs, constants, nodes in order, outputs, metadata. Equal graphs print alike; a constant of more
 * than 8 values is shown by its range and a checksum.
 *
 * @example
 * ```
 * graph tiny-train, opset 18
 * inputs
 *   image: float32[3, 8, 8, 4]
 * nodes
 *   conv1/columns: float32[3, 576, 4] = Gather(conv1/padded, conv1/columnsTable) {axis=1}
 * ```
 */
export function printGraph(graph: Graph): string {
  const section = (title: string, lines: readonly string[]): string[] => (lines.length > 0 ? [title, ...lines.map((l) => `  ${l}`)] : []);
  return [
    `graph ${graph.name}, opset ${opsetVersion}`,
    ...section(
      "inputs",
      graph.inputs.map((v) => `${v.name}: ${type(v)}`),
    ),
    ...section(
      "constants",
      [...graph.initializers].map(([name, value]) => `${name}: ${type(value)} = ${constant(value)}`),
    ),
    ...section(
      "nodes",
      graph.nodes.map((n) => node(graph, n)),
    ),
    ...section(
      "outputs",
      graph.outputs.map((v) => `${v.name}: ${type(v)}`),
    ),
    ...section(
      "metadata",
      Object.entries(graph.metadata).map(([key, value]) => `${key}: ${value}`),
    ),
    "",
  ].join("\n");
}
