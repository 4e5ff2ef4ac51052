/**
 * The deployable form of a network: NCHW, standard inference operators, normalization inside, so that raw values go in.
 * Batch norms stay `BatchNormalization` nodes, which runtimes fold into convolutions themselves. Nothing of the training layout is left.
 */
import { audioMetadata } from "../features/audioInput.ts";
import { type AudioInput, featureShape } from "../features/features.ts";
import { featureGraph } from "../features/graph.ts";
import { rulesOf } from "../network/layers/table.ts";
import { type FeatureShape, inputName, type Network, type NetworkInput } from "../network/network.ts";
import { type PlacedLayer, placeLayers } from "../network/shapes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import { type FloatDType, sameShape, type Tensor } from "../util/tensor.ts";

export interface DeployOptions {
  /** Prefix of every name that is written, such as the device of a branch; none by default. */
  readonly prefix?: string;
  /** Name of the last layer to write; the network's last layer by default. */
  readonly upTo?: string;
}

export interface DeployedNetwork {
  /** Output of the last layer that was written. */
  readonly output: Value;
  /** Output of each written layer by its name, and the normalized input as `input`. */
  readonly activations: ReadonlyMap<string, Value>;
}

/** Raw values to (x - mean) / std, by the same multiply and add as in training. */
function normalize(b: GraphBuilder, dtype: FloatDType, network: Network, image: Value): Value {
  const { channels, mean, std } = network.input;
  const perChannel = (value: (c: number) => number): Value =>
    b.float(
      dtype,
      mean.map((_, c) => value(c)),
      [1, channels, 1, 1],
    );
  const scale = perChannel((c) => 1 / (std[c] as number));
  const shift = perChannel((c) => -(mean[c] as number) / (std[c] as number));
  return b.add(b.mul(image, scale), shift, "normalized");
}

/** Layers whose operators want [N, C, H, W] even where a sample is a vector. */
const spatial: ReadonlySet<string> = new Set(["conv2d", "maxPool", "avgPool", "globalAvgPool", "zeroPad"]);

/** One rank for all inputs of a layer: a vector may stand as [N, C] or as [N, C, 1, 1], depending on what made it. */
function alignRanks(b: GraphBuilder, placed: PlacedLayer, inputs: readonly Value[]): readonly Value[] {
  const wantsImages = spatial.has(placed.layer.type) || inputs.some((v) => v.shape.length === 4);
  if (!wantsImages) return inputs;
  return inputs.map((v, i) => {
    const { channels, height, width } = placed.inputs[i] as FeatureShape;
    return v.shape.length === 4 ? v : b.op("Reshape", [v, b.ints([-1, channels, height, width])], {}, "image");
  });
}

function parameterOf(parameters: ReadonlyMap<string, Tensor>, placed: PlacedLayer, name: string, network: Network): Tensor {
  const key = `${placed.layer.name}.${name}`;
  const value = parameters.get(key);
  const spec = placed.parameters.find((p) => p.name === name);
  if (!value)
    throw new SheafError(
      "corrupt",
      `Network "${network.name}" needs parameter "${key}", which is missing; give the weights of this very network.`,
    );
  if (!spec || !sameShape(spec.shape, value.shape)) {
    throw new SheafError(
      "corrupt",
      `Parameter "${key}" of network "${network.name}" must have shape [${spec?.shape.join(", ")}], got [${value.shape.join(", ")}]; give the weights of this very network.`,
    );
  }
  return value;
}

/**
 * Writes the deployable form of `network` into `b`. `image` is [N, channels, height, width], raw values; parameters become initializers
 * named `PREFIX/layer.parameter`. Whatever N the builder is given, the nodes hold for any batch size.
 * Throws `corrupt` when a parameter is missing or has another shape, `network` when `upTo` names no layer.
 */
export function deployNetwork(
  b: GraphBuilder,
  network: Network,
  image: Value,
  parameters: ReadonlyMap<string, Tensor>,
  options: DeployOptions = {},
): DeployedNetwork {
  const placed = placeLayers(network);
  const last = options.upTo === undefined ? placed.length - 1 : placed.findIndex((p) => p.layer.name === options.upTo);
  if (last < 0 && options.upTo !== inputName) {
    throw new SheafError(
      "network",
      `Network "${network.name}" has no layer "${options.upTo}"; its layers are ${placed.map((p) => p.layer.name).join(", ")}.`,
    );
  }
  const dtype = image.dtype as FloatDType;
  const write = (): DeployedNetwork => {
    let output = normalize(b, dtype, network, image);
    const activations = new Map<string, Value>([[inputName, output]]);
    for (const step of placed.slice(0, last + 1)) {
      const { layer } = step;
      const inputs = alignRanks(
        b,
        step,
        layer.inputs.map((name) => activations.get(name) as Value),
      );
      const context = {
        builder: b,
        dtype,
        parameter: (name: string) => b.parameter(`${layer.name}.${name}`, parameterOf(parameters, step, name, network)),
      };
      output = rulesOf(layer).deploy(context, layer, inputs, step.inputs, step.output);
      activations.set(layer.name, output);
    }
    return { output, activations };
  };
  return options.prefix === undefined ? write() : b.scope(options.prefix, write);
}

/** What a deployable model takes: images by default, raw audio when a front end is given. */
export interface InputOptions {
  /** Puts these features of raw audio in front: input `audio` instead of `image`. */
  readonly audio?: AudioInput;
}

/**
 * Declares a deployable model's input and returns what its networks read: `image` [N, channels, height, width] itself, or the features of
 * `audio` [N, samples]. Throws `network` when the front end's features have not the shape that `input` says.
 */
export function deployInput(b: GraphBuilder, input: NetworkInput, { audio }: InputOptions): Value {
  const { channels, height, width } = input;
  if (!audio) return b.input("image", "float32", [1, channels, height, width]);
  const features = featureShape(audio.features, audio.samples);
  if (features.channels !== channels || features.height !== height || features.width !== width) {
    throw new SheafError(
      "network",
      `The network reads ${channels}x${height}x${width} values, but the audio features of a clip are 1x${features.height}x${features.width}; give the settings and clip length that it was trained with.`,
    );
  }
  return featureGraph(b, b.input("audio", "float32", [1, audio.samples]), audio.features);
}

/** Metadata of a model with that input. */
export const inputMetadata = ({ audio }: InputOptions): Readonly<Record<string, string>> => (audio ? audioMetadata(audio) : {});

/** [N, features] of an activation that is a vector per sample. */
export function asRows(b: GraphBuilder, value: Value, hint = "rows"): Value {
  return value.shape.length === 2 ? value : b.op("Flatten", [value], { axis: 1 }, hint);
}

export interface InferenceOptions extends InputOptions {
  /** One name per logit; stored as JSON under "classNames". */
  readonly classNames: readonly string[];
  /** Name of the graph; the network's by default. */
  readonly name?: string;
  /** Further metadata of the model. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * A network as a deployable model: input `image` [N, channels, height, width], float32 raw values, or with a front end `audio` [N, samples],
 * float32 in [-1, 1], told in the metadata `audioFeatures` and `clipSamples`; outputs `logits` and `probabilities` [N, classes].
 * Write it with `writeOnnx(graph, { batchAxis: "N" })`, and any batch size may be fed.
 * Throws `network` when the network does not end in one logit per class name or does not read the front end's features, `corrupt` when the
 * parameters do not fit.
 * @example writeOnnx(compileInference(network, parameters, { classNames }), { batchAxis: "N" })
 */
export function compileInference(network: Network, parameters: ReadonlyMap<string, Tensor>, options: InferenceOptions): Graph {
  const b = new GraphBuilder(["logits", "probabilities"]);
  const logits = asRows(b, deployNetwork(b, network, deployInput(b, network.input, options), parameters).output);
  if (logits.shape[1] !== options.classNames.length) {
    throw new SheafError(
      "network",
      `Network "${network.name}" ends in ${logits.shape[1]} values per sample but ${options.classNames.length} class names were given; end it in one logit per class.`,
    );
  }
  const probabilities = b.op("Softmax", [logits], { axis: 1 });
  b.output("logits", logits);
  b.output("probabilities", probabilities);
  return b.build(options.name ?? network.name, {
    ...options.metadata,
    ...inputMetadata(options),
    classNames: JSON.stringify(options.classNames),
  });
}
