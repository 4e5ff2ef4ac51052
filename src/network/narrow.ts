/** Makes a network narrower (or wider) layer by layer, keeping its graph. */
import { SheafError } from "../util/errors.ts";
import { isDepthwise } from "./depthwise.ts";
import { rulesOf } from "./layers/table.ts";
import { inputName, type Layer, type Network } from "./network.ts";
import { placeLayers } from "./shapes.ts";

/** One factor for all layers, or one per layer name; layers not named keep their width. */
export type WidthFactors = number | Readonly<Record<string, number>>;

/** Channels at a width factor: rounded, at least 1. */
export function scaledWidth(channels: number, factor: number): number {
  return Math.max(1, Math.round(channels * factor));
}

/** Which layers' widths hang together. */
interface Widths {
  /** The group of each layer with a width of its own; the group's name is that of one of its members. */
  readonly groupOf: ReadonlyMap<string, string>;
  /** Groups whose width may not change: what is added to the input or to a concatenation must keep its width. */
  readonly bound: ReadonlySet<string>;
  /** The group that decides the number of outputs; undefined where none does. */
  readonly output: string | undefined;
}

/** Follows widths through the network: from the layers that decide them, past those that keep them, to where they meet. */
function traceWidths(network: Network): Widths {
  const parent = new Map<string, string>();
  const find = (name: string): string => {
    const up = parent.get(name) ?? name;
    return up === name ? name : find(up);
  };
  /** The layers that decide the width of each activation: none for the input, several for a concatenation. */
  const sources = new Map<string, readonly string[]>([[inputName, []]]);
  /** Whether an activation is as wide as its only source: not so after a concatenation or where pixels became features. */
  const plain = new Set<string>();
  const own: string[] = [];
  const bound: string[] = [];
  for (const { layer, inputs, output } of placeLayers(network)) {
    // As wide as its input, or a whole multiple of it.
    const rule = isDepthwise(layer, inputs[0]) ? "same" : rulesOf(layer).width(layer);
    if (rule === "own") {
      own.push(layer.name);
      sources.set(layer.name, [layer.name]);
      plain.add(layer.name);
      continue;
    }
    sources.set(layer.name, [...new Set(layer.inputs.flatMap((name) => sources.get(name) ?? []))]);
    if (rule === "sum") continue;
    const alike = layer.inputs.every((name) => plain.has(name));
    if (alike && output.channels === inputs[0]?.channels) plain.add(layer.name);
    if (layer.inputs.length < 2) continue;
    // Inputs of one width: joined where each follows one layer, and all kept as they are where one of them does not.
    const meeting = layer.inputs.flatMap((name) => sources.get(name) ?? []);
    if (!alike) bound.push(...meeting);
    else for (const other of meeting.slice(1)) parent.set(find(other), find(meeting[0] as string));
  }
  const last = network.layers.at(-1)?.name ?? "";
  const [decider] = plain.has(last) ? (sources.get(last) ?? []) : [];
  // A concatenation or a flattened image at the end has its outputs' number from all its sources.
  if (decider === undefined) bound.push(...(sources.get(last) ?? []));
  return {
    groupOf: new Map(own.map((name) => [name, find(name)])),
    bound: new Set(bound.map(find)),
    output: decider === undefined ? undefined : find(decider),
  };
}

/**
 * Names of the layers whose width is free, each group under the name of one of its members: layers whose outputs are added together
 * share a width, and a depthwise convolution is as wide as what it reads, or a multiple of it. The output's width is the number of classes and never
 * changes; neither do widths that are added to the input's or to a concatenation's.
 */
export function widthGroups(network: Network): ReadonlyMap<string, readonly string[]> {
  const { groupOf, bound, output } = traceWidths(network);
  const groups = new Map<string, string[]>();
  for (const [name, group] of groupOf) {
    if (group !== output && !bound.has(group)) groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  return groups;
}

/**
 * A narrower copy of `network`. Every free width is multiplied by its factor and rounded, at least 1; groups of convolutions
 * and group norms shrink where they must to go on dividing. `outputs` replaces the number of logits.
 * Throws `config` on a factor that is not positive or names no layer with a width of its own, `network` when `outputs` is given
 * and no single layer decides their number.
 */
export function narrow(network: Network, factors: WidthFactors, outputs?: number): Network {
  const { groupOf, bound, output } = traceWidths(network);
  const groups = widthGroups(network);
  const roots = new Map([...groups].flatMap(([root, members]) => members.map((member) => [member, root] as const)));
  const known = new Map<string, number>();
  if (typeof factors !== "number") {
    for (const [name, factor] of Object.entries(factors)) {
      const root = roots.get(name);
      if (!root)
        throw new SheafError(
          "config",
          `No layer "${name}" with a width of its own in "${network.name}"; those are ${[...roots.keys()].join(", ")}.`,
        );
      known.set(root, factor);
    }
  }
  const factorOf = (name: string): number => {
    const factor = typeof factors === "number" ? factors : (known.get(roots.get(name) ?? "") ?? 1);
    if (!(factor > 0 && Number.isFinite(factor)))
      throw new SheafError("config", `Width factor of "${name}" must be positive, got ${factor}.`);
    return factor;
  };
  if (outputs !== undefined && (output === undefined || bound.has(output))) {
    throw new SheafError(
      "network",
      `Network "${network.name}" has no layer of its own that decides the number of outputs; end it in a linear layer, one logit per class.`,
    );
  }
  const channels = new Map<string, number>([[inputName, network.input.channels]]);
  const shapes = new Map(placeLayers(network).map((p) => [p.layer.name, p]));
  const layers = network.layers.map((layer): Layer => {
    const inputs = layer.inputs.map((name) => channels.get(name) ?? 0);
    const before = shapes.get(layer.name);
    const result = resize(layer, inputs[0] ?? 0, before?.inputs[0]?.channels ?? 0, (width) => {
      if (outputs !== undefined && groupOf.get(layer.name) === output) return outputs;
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
  if (layer.groups === inChannelsBefore)
    return { ...layer, groups: inChannels, outChannels: (layer.outChannels / inChannelsBefore) * inChannels };
  const outChannels = width(layer.outChannels);
  return { ...layer, outChannels, groups: gcd(layer.groups, gcd(inChannels, outChannels)) };
}
