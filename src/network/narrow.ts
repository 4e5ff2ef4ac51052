/** Makes a network narrower (or wider) layer by layer, keeping its graph. */
import { SheafError } from "../util/errors.ts";
import { rulesOf } from "./layers/table.ts";
import { inputName, type Layer, type Network } from "./network.ts";
import { placeLayers } from "./shapes.ts";

/** One factor for all layers, or one per layer name; layers not named keep their width. */
export type WidthFactors = number | Readonly<Record<string, number>>;

/** Channels at a width factor: rounded, at least 1. */
export function scaledWidth(channels: number, factor: number): number {
  return Math.max(1, Math.round(channels * factor));
}

/**
 * Names of the layers whose width is free, each with the layers that must be as wide as it: convolutions whose outputs are
 * added together share a width, and a depthwise convolution is as wide as what it reads. The output layer's width is the
 * number of classes and never changes.
 */
export function widthGroups(network: Network): ReadonlyMap<string, readonly string[]> {
  const parent = new Map<string, string>();
  const find = (name: string): string => {
    const up = parent.get(name) ?? name;
    return up === name ? name : find(up);
  };
  /** The layer that decides the width of each activation; undefined for the input and for sums of widths. */
  const source = new Map<string, string | undefined>([[inputName, undefined]]);
  for (const { layer, inputs, output } of placeLayers(network)) {
    const depthwise = layer.type === "conv2d" && layer.groups > 1 && layer.groups === inputs[0]?.channels && layer.groups === output.channels;
    const rule = depthwise ? "same" : rulesOf(layer).width(layer);
    if (rule === "own") {
      source.set(layer.name, layer.name);
      continue;
    }
    const sources = layer.inputs.map((name) => source.get(name));
    const first = rule === "same" ? sources[0] : undefined;
    if (rule === "same" && first) for (const other of sources.slice(1)) if (other) parent.set(find(other), find(first));
    source.set(layer.name, first);
  }
  const last = network.layers.at(-1)?.name ?? "";
  const fixed = find(source.get(last) ?? last);
  const groups = new Map<string, string[]>();
  for (const layer of network.layers) {
    if (source.get(layer.name) !== layer.name) continue;
    const root = find(layer.name);
    if (root !== fixed) groups.set(root, [...(groups.get(root) ?? []), layer.name]);
  }
  return groups;
}

/**
 * A narrower copy of `network`. Every free width is multiplied by its factor and rounded, at least 1; groups of convolutions
 * and group norms shrink where they must to go on dividing. `outputs` replaces the number of logits.
 * Throws `config` on a factor that is not positive or names no layer with a width of its own.
 */
export function narrow(network: Network, factors: WidthFactors, outputs?: number): Network {
  const groups = widthGroups(network);
  const roots = new Map([...groups].flatMap(([root, members]) => members.map((member) => [member, root] as const)));
  const known = new Map<string, number>();
  if (typeof factors !== "number") {
    for (const [name, factor] of Object.entries(factors)) {
      const root = roots.get(name);
      if (!root) throw new SheafError("config", `No layer "${name}" with a width of its own in "${network.name}"; those are ${[...roots.keys()].join(", ")}.`);
      known.set(root, factor);
    }
  }
  const factorOf = (name: string): number => {
    const factor = typeof factors === "number" ? factors : (known.get(roots.get(name) ?? "") ?? 1);
    if (!(factor > 0)) throw new SheafError("config", `Width factor of "${name}" must be positive, got ${factor}.`);
    return factor;
  };
  const last = network.layers.at(-1);
  const channels = new Map<string, number>([[inputName, network.input.channels]]);
  const shapes = new Map(placeLayers(network).map((p) => [p.layer.name, p]));
  const layers = network.layers.map((layer): Layer => {
    const inputs = layer.inputs.map((name) => channels.get(name) ?? 0);
    const before = shapes.get(layer.name);
    const result = resize(layer, inputs[0] ?? 0, before?.inputs[0]?.channels ?? 0, (width) => {
      if (layer === last) return outputs ?? width;
      return roots.has(layer.name) ? scaledWidth(width, factorOf(layer.name)) : width;
    });
    const spatial = before?.inputs[0];
    channels.set(
      layer.name,
      result.type === "conv2d"
        ? result.outChannels
        : result.type === "linear"
          ? result.outFeatures
          : result.type === "concat"
            ? inputs.reduce((a, c) => a + c, 0)
            : result.type === "flatten"
              ? (inputs[0] ?? 0) * (spatial ? spatial.height * spatial.width : 1)
              : (inputs[0] ?? 0),
    );
    return result;
  });
  return { ...network, layers };
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

function resize(layer: Layer, inChannels: number, inChannelsBefore: number, width: (channels: number) => number): Layer {
  if (layer.type === "linear") return { ...layer, outFeatures: width(layer.outFeatures) };
  if (layer.type === "groupNorm") return { ...layer, groups: gcd(layer.groups, inChannels) };
  if (layer.type !== "conv2d") return layer;
  if (layer.groups === 1) return { ...layer, outChannels: width(layer.outChannels) };
  if (layer.groups === inChannelsBefore && layer.outChannels === inChannelsBefore) return { ...layer, groups: inChannels, outChannels: inChannels };
  const outChannels = width(layer.outChannels);
  return { ...layer, outChannels, groups: gcd(layer.groups, gcd(inChannels, outChannels)) };
}
