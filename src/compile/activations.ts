/** The deployable form of a network with other outputs: how strongly each filter fires, layer by layer. Says nothing about classes. */
import { rulesOf } from "../network/layers/table.ts";
import { widthGroups } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { type PlacedLayer, placeLayers } from "../network/shapes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import type { Tensor } from "../util/tensor.ts";
import { deployNetwork } from "./deploy.ts";

/** Layers after which a filter has fired or not. */
const nonlinear: ReadonlySet<string> = new Set(["relu", "leakyRelu", "clip", "sigmoid", "hardSwish"]);

/**
 * Where each layer of free width shows what it fires: the activation function that follows it, past normalizations and sums. Where the way
 * forks, or something else follows first (a pool, the next layer), what has been reached by then.
 */
export function firingPoints(network: Network): ReadonlyMap<string, string> {
  const placed = placeLayers(network);
  const byName = new Map(placed.map((p) => [p.layer.name, p]));
  const readers = new Map<string, PlacedLayer[]>();
  for (const p of placed) for (const name of new Set(p.layer.inputs)) readers.set(name, [...(readers.get(name) ?? []), p]);
  const follow = (name: string): string => {
    const here = byName.get(name) as PlacedLayer;
    const [next, ...more] = readers.get(name) ?? [];
    if (!next || more.length > 0 || nonlinear.has(here.layer.type) || !keepsShape(here, next)) return name;
    return follow(next.layer.name);
  };
  return new Map([...widthGroups(network).values()].flat().map((name) => [name, follow(name)]));
}

/** Whether each value of `next` still belongs to the filter and the pixel that it belonged to in `here`. */
function keepsShape(here: PlacedLayer, next: PlacedLayer): boolean {
  const [a, b] = [here.output, next.output];
  return rulesOf(next.layer).width(next.layer) === "same" && a.channels === b.channels && a.height === b.height && a.width === b.width;
}

/** Name of the output that tells of a layer; no layer's own name looks like it. */
export function activationOutput(layer: string): string {
  return `${layer}.activation`;
}

/**
 * Compiles how strongly filters fire: input `image` [N, channels, height, width], float32, raw values; for each layer of free width one output
 * called `activationOutput(layer)`, [N, filters]: the mean over pixels of the absolute value at the layer's firing point. After a ReLU that is the mean activation;
 * where a value may be negative, its size counts. Write it with `writeOnnx(graph, { batchAxis: "N" })`, and any batch size may be fed.
 * Throws `network` when no layer has a free width, `corrupt` when the parameters do not fit.
 * @example writeOnnx(compileActivations(network, parameters), { batchAxis: "N" })
 */
export function compileActivations(network: Network, parameters: ReadonlyMap<string, Tensor>): Graph {
  const points = firingPoints(network);
  if (points.size === 0) {
    throw new SheafError("network", `Network "${network.name}" has no layer whose width is free, so there are no filters to choose from.`);
  }
  const { channels, height, width } = network.input;
  const b = new GraphBuilder();
  const image = b.input("image", "float32", [1, channels, height, width]);
  const reached = new Set(points.values());
  const upTo = network.layers.findLast(({ name }) => reached.has(name))?.name ?? "";
  const { activations } = deployNetwork(b, network, image, parameters, { upTo });
  for (const [layer, point] of points) b.output(activationOutput(layer), meanOverPixels(b, activations.get(point) as Value));
  return b.build(`${network.name}-activations`);
}

function meanOverPixels(b: GraphBuilder, value: Value): Value {
  const size = b.op("Abs", [value], {}, "size");
  return value.shape.length === 2 ? size : b.reduceMean(size, [2, 3], false, "firing");
}
