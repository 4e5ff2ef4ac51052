/** First weights of a sub-model, cut out of a trained target's by a choice of filters. */
import { isDepthwise } from "../network/depthwise.ts";
import { rulesOf } from "../network/layers/table.ts";
import { inputName, type Layer, type Network } from "../network/network.ts";
import { type PlacedLayer, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { type Shape, sameShape, sizeOf, type Tensor, zeros } from "../util/tensor.ts";
import type { FilterChoice } from "./chooseFilters.ts";
import type { SubModel } from "./subModel.ts";

/** A channel of the sub-model: one of the target's, or the mean of several, which is what the logit "other" starts as. */
type Channel = number | readonly number[];

/**
 * Starting weights and running statistics of `subModel`: the target's, of the chosen filters and of the channels that they read, followed through sums,
 * concatenations, depthwise convolutions and flattened pixels. Of the head, the rows of the own classes, in the order of the task set. The row of
 * "other" is the mean of the other classes' rows, its bias raised by the logarithm of their number: the logarithm of a sum of n exponentials
 * is at least the mean of the exponents and log n (Jensen), so this is what "one of those" is worth by the target, at the least. Where the task set
 * holds every class, "other" starts as the mean of all, which nothing needs to fall below.
 *
 * Weights are not scaled up for inputs that are missing. Batch norm takes a common factor out again, and larger weights then learn more slowly: in trials
 * with VGG-11 scaled starts were equal before training and 4 to 12 points behind after an epoch; without batch norm (AlexNet) they made no difference.
 * Running statistics are those of the whole target; the first steps of training adapt them. Where groups of a convolution change with its width, places that the
 * target does not connect start at 0.
 *
 * Tensors are new. With every filter and every class the sub-model's logits are the target's, and "other" after them.
 * Throws `corrupt` when a parameter is missing or has not the target's shape, `config` when the choice does not fit the sub-model.
 */
export function inheritParameters(
  target: Network,
  parameters: ReadonlyMap<string, Tensor>,
  subModel: SubModel,
  filters: FilterChoice,
): Map<string, Tensor> {
  const result = new Map<string, Tensor>();
  const heads = outputLayers(target);
  const own = placeLayers(subModel.network);
  const channels = new Map<string, readonly Channel[]>([[inputName, upTo(target.input.channels)]]);
  for (const [i, wide] of placeLayers(target).entries()) {
    const { layer } = wide;
    const slim = own[i] as PlacedLayer;
    const inputs = layer.inputs.map((name) => channels.get(name) ?? []);
    const outputs = heads.has(layer.name) ? headRows(subModel.taskSet, wide.output.channels) : outputChannels(wide, inputs, filters);
    if (outputs.length !== slim.output.channels) {
      throw new SheafError(
        "config",
        `Layer "${layer.name}" of the sub-model of "${subModel.device}" has ${slim.output.channels} channels, but filters were chosen for ${outputs.length}; choose them for this very sub-model.`,
      );
    }
    channels.set(layer.name, outputs);
    const cut: Cut = { wide, slim, inputs: inputs[0] ?? [], outputs };
    for (const [p, { name, shape }] of slim.parameters.entries()) {
      const key = `${layer.name}.${name}`;
      const source = parameters.get(key);
      const expected = wide.parameters[p]?.shape ?? [];
      if (!source || !sameShape(source.shape, expected)) {
        const got = source ? `has shape [${source.shape.join(", ")}]` : "is missing";
        throw new SheafError(
          "corrupt",
          `Parameter "${key}" of target "${target.name}" must have shape [${expected.join(", ")}], but ${got}; give the weights of this very network.`,
        );
      }
      result.set(key, isFullWeight(wide, name) ? cutWeight(cut, source, shape) : cutRows(cut, source, shape));
      if (name === "bias" && heads.has(layer.name)) raiseLast(result.get(key) as Tensor, wide.output.channels - subModel.taskSet.length);
    }
  }
  return result;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Layers that decide the number of outputs: those whose channels the last activation has, unchanged. */
export function outputLayers(network: Network): ReadonlySet<string> {
  const placed = new Map(placeLayers(network).map((p) => [p.layer.name, p]));
  const found = new Set<string>();
  const visit = (name: string): void => {
    const here = placed.get(name);
    if (here && decidesWidth(here)) found.add(name);
    else here?.layer.inputs.forEach(visit);
  };
  visit(network.layers.at(-1)?.name ?? "");
  return found;
}

export const decidesWidth = (placed: PlacedLayer): boolean =>
  rulesOf(placed.layer).width(placed.layer) === "own" && !isDepthwise(placed.layer, placed.inputs[0]);

/** Whether a parameter says how strongly each output reads each input. */
export const isFullWeight = (placed: PlacedLayer, parameter: string): boolean => parameter === "weight" && decidesWidth(placed);

function headRows(taskSet: readonly number[], classCount: number): readonly Channel[] {
  const others = upTo(classCount).filter((c) => !taskSet.includes(c));
  return [...taskSet, others.length > 0 ? others : upTo(classCount)];
}

/** Which of the target's channels a layer's output keeps. */
function outputChannels(wide: PlacedLayer, inputs: readonly (readonly Channel[])[], filters: FilterChoice): readonly Channel[] {
  const { layer, output } = wide;
  if (decidesWidth(wide)) return [...(filters[layer.name] ?? upTo(output.channels))];
  const moved = (channel: Channel, to: (one: number) => number): Channel =>
    typeof channel === "number" ? to(channel) : channel.map((one) => to(one));
  if (layer.type === "flatten") {
    const { height, width } = wide.inputs[0] ?? { height: 1, width: 1 };
    const pixels = upTo(height * width);
    return (inputs[0] ?? []).flatMap((channel) => pixels.map((pixel) => moved(channel, (one) => one * pixels.length + pixel)));
  }
  if (rulesOf(layer).width(layer) !== "sum") {
    // A depthwise convolution may give several outputs for each channel.
    const each = upTo(output.channels / (wide.inputs[0]?.channels ?? 1));
    return (inputs[0] ?? []).flatMap((channel) => each.map((i) => moved(channel, (one) => one * each.length + i)));
  }
  const starts = wide.inputs.map((_, i) => wide.inputs.slice(0, i).reduce((sum, { channels }) => sum + channels, 0));
  return inputs.flatMap((part, i) => part.map((channel) => moved(channel, (one) => one + (starts[i] as number))));
}

/** A layer in the target and in the sub-model, and the target's channels that the sub-model's stand for. */
interface Cut {
  readonly wide: PlacedLayer;
  readonly slim: PlacedLayer;
  readonly inputs: readonly Channel[];
  readonly outputs: readonly Channel[];
}

/** What belongs to one output channel, or the mean over several. */
function rowOf(source: Tensor, channel: Channel): Float64Array {
  const size = source.data.length / (source.shape[0] ?? 1);
  const members = typeof channel === "number" ? [channel] : channel;
  return Float64Array.from(
    { length: size },
    (_, i) => members.reduce((sum, one) => sum + Number(source.data[one * size + i]), 0) / members.length,
  );
}

/** A parameter with a row for each output channel and nothing for the inputs: biases, normalizations, depthwise kernels. */
function cutRows({ outputs }: Cut, source: Tensor, shape: Shape): Tensor {
  const result = zeros("float32", shape);
  for (const [o, channel] of outputs.entries()) {
    const row = rowOf(source, channel);
    result.data.set(row, o * row.length);
  }
  return result;
}

/** A weight [outputs, inputs of a group, ...kernel]. */
function cutWeight({ wide, slim, inputs, outputs }: Cut, source: Tensor, shape: Shape): Tensor {
  const result = zeros("float32", shape);
  const [, ownInputs = 1, ...kernel] = shape;
  const area = sizeOf(kernel);
  const targetInputs = source.shape[1] ?? 1;
  const ownGroup = outputs.length / groupsOf(slim.layer);
  const targetGroup = wide.output.channels / groupsOf(wide.layer);
  for (const [o, output] of outputs.entries()) {
    const row = rowOf(source, output);
    const firstOwn = Math.floor(o / ownGroup) * ownInputs;
    // Only a head has outputs that stand for several channels, and only the first input of its group is asked for.
    const firstOfTarget = Math.floor((typeof output === "number" ? output : (output[0] ?? 0)) / targetGroup) * targetInputs;
    for (let k = 0; k < ownInputs; k++) {
      const input = Number(inputs[firstOwn + k]) - firstOfTarget;
      if (!(input >= 0 && input < targetInputs)) continue;
      result.data.set(row.subarray(input * area, (input + 1) * area), (o * ownInputs + k) * area);
    }
  }
  return result;
}

export const groupsOf = (layer: Layer): number => (layer.type === "conv2d" ? layer.groups : 1);

/** To the bias of "other", the logarithm of the number of classes that it stands for. */
function raiseLast({ data }: Tensor, otherClasses: number): void {
  data[data.length - 1] = Number(data[data.length - 1]) + Math.log(Math.max(1, otherClasses));
}
