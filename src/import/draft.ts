/**
 * The network as it is being put together: layers with their weights, and what may still be folded into them.
 * Operators write into it; it knows nothing of ONNX.
 */
import { rulesOf } from "../network/layers/table.ts";
import { type FeatureShape, inputName, type Layer, type LayerAttributes, type LayerType, type NetworkInput } from "../network/network.ts";
import type { ForeignNode } from "../onnx/foreign.ts";
import { SheafError } from "../util/errors.ts";
import { floats, type Shape, type Tensor } from "../util/tensor.ts";
import { nameGiver } from "./names.ts";
import { Unreadable } from "./nodeReader.ts";
import { type Activation, isVector } from "./values.ts";

export interface Draft {
  readonly layers: readonly Layer[];
  readonly parameters: Map<string, Tensor>;
  /** Things worth telling the user. */
  readonly notes: Set<string>;
  /** What came after the logits and was left out; the check needs it. */
  ending: "logits" | "softmax" | "logSoftmax";
  /** Adds a layer that reads `inputs`; its output lies as `like` does (the first input by default). */
  emit<T extends LayerType>(
    node: ForeignNode,
    type: T,
    attributes: LayerAttributes[T],
    inputs: readonly Activation[],
    options?: EmitOptions,
  ): Activation;
  /** scale * x + shift for each channel: folded into the input's normalization or the layer before where it may be, else a layer. */
  affine(node: ForeignNode, x: Activation, scale: readonly number[], shift: readonly number[]): Activation;
  /** The layer that made an activation, unless other nodes read it too. */
  soleProducer(x: Activation): Layer | undefined;
  /** Takes the layer that was added last away again; its reader takes its place. */
  withdraw(layer: Layer): void;
  /** The image that goes in, with extents as the graph reshapes them; only before anything reads it. */
  reshapeInput(feature: FeatureShape): void;
  input(): NetworkInput;
}

export interface EmitOptions {
  /** Weights by their name in the layer. */
  readonly parameters?: Readonly<Record<string, Tensor>>;
  /** Name of the weights in the foreign graph, which often says best what the layer is called. */
  readonly weightName?: string | undefined;
  readonly nonNegative?: boolean;
  /** The output's shape in the foreign graph where it is not the input's with the new extents. */
  readonly shape?: Shape;
}

/** Shape of a layer's output in the foreign graph, lying as its input did. */
function shapeLike(x: Activation, feature: FeatureShape): Shape {
  if (x.shape.length !== 4) return [x.shape[0] as number, feature.channels];
  const pixels = [feature.height, feature.width];
  return x.shape.map((extent, axis) => (axis === 0 ? extent : axis === x.channelAxis ? feature.channels : (pixels.shift() as number)));
}

/** Gives what `body` does; a rule of the network's that does not hold is a reason not to read the node. */
function asUnreadable<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof SheafError && error.code === "network") {
      throw new Unreadable(`gives a layer that Sheaf cannot have (${error.message.replace(/\.$/, "")})`);
    }
    throw error;
  }
}

const mapped = (value: Tensor, compute: (v: number, i: number) => number): Tensor =>
  floats(
    "float32",
    value.shape,
    Array.from(value.data as Float32Array, (v, i) => compute(v, i)),
  );

export function newDraft(feature: FeatureShape): Draft {
  const layers: Layer[] = [];
  const parameters = new Map<string, Tensor>();
  const nameOf = nameGiver();
  let inputFeature = feature;
  // The input's normalization so far: scale * x + shift.
  let scales = Array.from({ length: feature.channels }, () => 1);
  let shifts = Array.from({ length: feature.channels }, () => 0);

  /** Folds into the layer's own weights; undefined where it has none that could take it. */
  function folded(layer: Layer, scale: readonly number[], shift: readonly number[]): Layer | undefined {
    if (layer.type !== "conv2d" && layer.type !== "linear" && layer.type !== "batchNorm") return undefined;
    const key = (name: string): string => `${layer.name}.${name}`;
    const weight = parameters.get(key("weight")) as Tensor;
    const bias = parameters.get(key("bias"));
    const perFilter = weight.data.length / scale.length;
    if (scale.some((s) => s !== 1)) {
      parameters.set(
        key("weight"),
        mapped(weight, (v, i) => v * (scale[Math.floor(i / perFilter)] as number)),
      );
    }
    const old = bias ?? floats("float32", [scale.length], new Float32Array(scale.length));
    const needed = bias !== undefined || shift.some((s) => s !== 0);
    if (needed)
      parameters.set(
        key("bias"),
        mapped(old, (v, i) => v * (scale[i] as number) + (shift[i] as number)),
      );
    return layer.type === "batchNorm" ? layer : { ...layer, bias: needed };
  }

  const draft: Draft = {
    layers,
    parameters,
    notes: new Set(),
    ending: "logits",
    emit(node, type, attributes, inputs, options = {}) {
      const [x] = inputs as readonly [Activation];
      const layer = { ...attributes, type, name: nameOf(node, type, options.weightName), inputs: inputs.map((i) => i.layer) } as Layer;
      const output = asUnreadable(() =>
        rulesOf(layer).outputShape(
          layer,
          inputs.map((i) => i.feature),
        ),
      );
      for (const [name, value] of Object.entries(options.parameters ?? {})) parameters.set(`${layer.name}.${name}`, value);
      layers.push(layer);
      const sameVector = isVector(output) && output.channels === x.feature.channels;
      return {
        kind: "activation",
        layer: layer.name,
        feature: output,
        shape: options.shape ?? shapeLike(x, output),
        channelAxis: options.shape ? 1 : Math.min(x.channelAxis, x.shape.length - 1),
        ...(x.flattenedFrom && sameVector && type !== "linear" ? { flattenedFrom: x.flattenedFrom } : {}),
        nonNegative: options.nonNegative ?? false,
        shared: false,
      };
    },
    affine(node, x, scale, shift) {
      if (scale.every((s) => s === 1) && shift.every((s) => s === 0) && x.layer !== inputName) return x;
      if (x.layer === inputName && !x.shared && layers.length === 0 && scale.every((s) => s > 0)) {
        shifts = shifts.map((s, c) => s * (scale[c] as number) + (shift[c] as number));
        scales = scales.map((s, c) => s * (scale[c] as number));
        return x;
      }
      const producer = draft.soleProducer(x);
      const replacement = producer && folded(producer, scale, shift);
      if (replacement) {
        layers[layers.findIndex((l) => l.name === replacement.name)] = replacement;
        return { ...x, nonNegative: false };
      }
      const channels = x.feature.channels;
      return draft.emit(
        node,
        "conv2d",
        { outChannels: channels, kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: channels, bias: true },
        [x],
        { parameters: { weight: floats("float32", [channels, 1, 1, 1], scale), bias: floats("float32", [channels], shift) } },
      );
    },
    soleProducer: (x) => (x.shared ? undefined : layers.find((l) => l.name === x.layer)),
    withdraw(layer) {
      layers.splice(layers.indexOf(layer), 1);
    },
    reshapeInput(shape) {
      const uniform = (values: readonly number[]): boolean => values.every((v) => v === values[0]);
      if (!uniform(scales) || !uniform(shifts)) throw new Unreadable("reshapes the input after its channels were normalized one by one");
      const spread = (values: readonly number[]): number[] => Array.from({ length: shape.channels }, () => values[0] as number);
      [scales, shifts] = [spread(scales), spread(shifts)];
      inputFeature = shape;
    },
    // + 0 makes a -0 plain.
    input: () => ({ ...inputFeature, mean: scales.map((s, c) => -(shifts[c] as number) / s + 0), std: scales.map((s) => 1 / s) }),
  };
  return draft;
}
