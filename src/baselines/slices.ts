/** Parts of a server's network that a client trains: which channels of each layer, and where its weights lie in the server's. */
import type { FilterChoice } from "../decouple/chooseFilters.ts";
import { decidesWidth, groupsOf, isFullWeight, outputLayers } from "../decouple/inherit.ts";
import { rulesOf } from "../network/layers/table.ts";
import { narrow, type WidthFactors, widthGroups } from "../network/narrow.ts";
import { inputName, type Network } from "../network/network.ts";
import { type PlacedLayer, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { sizeOf, type Tensor, zeros } from "../util/tensor.ts";

/** Which `count` of a layer's `total` channels a client takes; layers that share a width share the answer. */
export type ChannelChoice = (total: number, count: number) => Uint32Array;

/** A client's part of the server's network. */
export interface Slice {
  readonly network: Network;
  /** Channels of the server's layers of free width. */
  readonly filters: FilterChoice;
  /** Classes of the head's rows, ascending. */
  readonly classes: readonly number[];
}

/** The first channels, as in HeteroFL and FjORD. */
export const firstChannels: ChannelChoice = (_total, count) => Uint32Array.from({ length: count }, (_, i) => i);

/** A window of channels that moves on by one each round and wraps around, as in FedRolex. */
export const rollingChannels =
  (round: number): ChannelChoice =>
  (total, count) =>
    Uint32Array.from({ length: count }, (_, i) => (round + i) % total);

const widthsOf = (network: Network): ReadonlyMap<string, number> =>
  new Map(placeLayers(network).map(({ layer, output }) => [layer.name, output.channels]));

/**
 * The slice of `server` that is as wide as `target` narrowed by `widths`, with a head for `classes`. `server` is `target` or a narrower copy of it.
 * Throws `config` where the slice would be wider than the server's network.
 */
export function sliceOf(
  target: Network,
  server: Network,
  widths: WidthFactors,
  classes: readonly number[],
  choose: ChannelChoice = firstChannels,
): Slice {
  const network = narrow(target, widths, classes.length);
  const [wide, own] = [widthsOf(server), widthsOf(network)];
  const filters: Record<string, Uint32Array> = {};
  for (const members of widthGroups(target).values()) {
    const [total = 0, count = 0] = [wide.get(members[0] ?? ""), own.get(members[0] ?? "")];
    if (count > total) {
      throw new SheafError(
        "config",
        `Layer "${members[0]}" of a client has ${count} channels, the server's network ${total}; no client may be wider than the server: lower its width.`,
      );
    }
    const choice = choose(total, count);
    for (const layer of members) filters[layer] = choice;
  }
  return { network, filters, classes };
}

/** Widths of the narrowest copy of `target` that holds every client's channels: per layer the widest client's. */
export function widestOf(target: Network, clients: readonly WidthFactors[]): WidthFactors {
  const full = widthsOf(target);
  const all = clients.map((widths) => widthsOf(narrow(target, widths)));
  return Object.fromEntries(
    [...widthGroups(target).values()].flatMap((members) => {
      const name = members[0] ?? "";
      const most = Math.max(...all.map((widths) => widths.get(name) ?? 1));
      return members.map((member) => [member, most / (full.get(name) ?? 1)] as const);
    }),
  );
}

const upTo = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, i) => i);

/** Channels of the server that a layer's output holds in the slice. */
function outputChannels(
  wide: PlacedLayer,
  inputs: readonly Uint32Array[],
  { filters, classes }: Slice,
  heads: ReadonlySet<string>,
): Uint32Array {
  const { layer, output } = wide;
  if (heads.has(layer.name)) return Uint32Array.from(classes);
  if (decidesWidth(wide)) return filters[layer.name] ?? upTo(output.channels);
  const [first = new Uint32Array()] = inputs;
  const spread = (each: number): Uint32Array =>
    Uint32Array.from({ length: first.length * each }, (_, i) => (first[Math.floor(i / each)] as number) * each + (i % each));
  if (layer.type === "flatten") return spread((wide.inputs[0]?.height ?? 1) * (wide.inputs[0]?.width ?? 1));
  if (rulesOf(layer).width(layer) !== "sum") return spread(output.channels / (wide.inputs[0]?.channels ?? 1));
  let start = 0;
  return Uint32Array.from(
    inputs.flatMap((part, i) => {
      const moved = [...part].map((channel) => channel + start);
      start += wide.inputs[i]?.channels ?? 0;
      return moved;
    }),
  );
}

/**
 * For every parameter and state of a slice by name, the place of each of its values in the server's tensor of that name; -1 where a convolution's groups
 * connect in the slice what the server does not.
 */
export function placesOf(server: Network, slice: Slice): ReadonlyMap<string, Int32Array> {
  const heads = outputLayers(server);
  const own = placeLayers(slice.network);
  const channels = new Map<string, Uint32Array>([[inputName, upTo(server.input.channels)]]);
  const result = new Map<string, Int32Array>();
  for (const [at, wide] of placeLayers(server).entries()) {
    const { layer } = wide;
    const slim = own[at] as PlacedLayer;
    const inputs = layer.inputs.map((name) => channels.get(name) ?? new Uint32Array());
    const outputs = outputChannels(wide, inputs, slice, heads);
    channels.set(layer.name, outputs);
    for (const [p, { name, shape }] of slim.parameters.entries()) {
      const source = wide.parameters[p]?.shape ?? [];
      const key = `${layer.name}.${name}`;
      result.set(
        key,
        isFullWeight(wide, name)
          ? weightPlaces(wide, slim, inputs[0] ?? new Uint32Array(), outputs, source, shape)
          : rowPlaces(outputs, sizeOf(source.slice(1)), sizeOf(shape)),
      );
    }
  }
  return result;
}

/** A row for each output channel: biases, normalizations, depthwise kernels. */
function rowPlaces(outputs: Uint32Array, row: number, size: number): Int32Array {
  return Int32Array.from({ length: size }, (_, i) => (outputs[Math.floor(i / row)] as number) * row + (i % row));
}

/** A weight [outputs, inputs of a group, ...kernel]. */
function weightPlaces(
  wide: PlacedLayer,
  slim: PlacedLayer,
  inputs: Uint32Array,
  outputs: Uint32Array,
  source: readonly number[],
  shape: readonly number[],
): Int32Array {
  const [, ownInputs = 1, ...kernel] = shape;
  const serverInputs = source[1] ?? 1;
  const area = sizeOf(kernel);
  const ownGroup = outputs.length / groupsOf(slim.layer);
  const serverGroup = wide.output.channels / groupsOf(wide.layer);
  const places = new Int32Array(sizeOf(shape)).fill(-1);
  for (const [o, output] of outputs.entries()) {
    const firstOwn = Math.floor(o / ownGroup) * ownInputs;
    const firstServer = Math.floor(output / serverGroup) * serverInputs;
    for (let k = 0; k < ownInputs; k++) {
      const input = (inputs[firstOwn + k] as number) - firstServer;
      if (!(input >= 0 && input < serverInputs)) continue;
      const [to, from] = [(o * ownInputs + k) * area, (output * serverInputs + input) * area];
      for (let a = 0; a < area; a++) places[to + a] = from + a;
    }
  }
  return places;
}

/** The slice's parameters and states out of the server's. */
export function cutSlice(server: Network, state: ReadonlyMap<string, Tensor>, slice: Slice): Map<string, Tensor> {
  const places = placesOf(server, slice);
  const shapes = placeLayers(slice.network).flatMap(({ layer, parameters }) =>
    parameters.map((p) => [`${layer.name}.${p.name}`, p.shape] as const),
  );
  return new Map(
    shapes.map(([key, shape]) => {
      const value = zeros("float32", shape);
      const source = (state.get(key) as Tensor).data as Float32Array;
      const from = places.get(key) as Int32Array;
      for (let i = 0; i < from.length; i++) if ((from[i] as number) >= 0) value.data[i] = source[from[i] as number] as number;
      return [key, value];
    }),
  );
}
