/** Reads a CNN made elsewhere, an ONNX file, into a network and its weights: node by node through the table of operators. */
import { readAudioMetadata } from "../features/audioInput.ts";
import { type AudioInput, featureShape } from "../features/features.ts";
import { type FeatureShape, inputName, type Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import type { ForeignGraph, ForeignNode, ForeignValue } from "../onnx/foreign.ts";
import { readForeign } from "../onnx/read.ts";
import { SheafError } from "../util/errors.ts";
import { sameShape, sizeOf, type Tensor } from "../util/tensor.ts";
import { type Draft, newDraft } from "./draft.ts";
import { folds } from "./fold.ts";
import { readNode, Unreadable } from "./nodeReader.ts";
import type { Surroundings } from "./operators/operator.ts";
import { operatorOf, operators } from "./operators/table.ts";
import { type Fail, hasChannelsLast, type InputShape, inputShapeOf, type PreparedGraph, prepareGraph } from "./prepare.ts";
import { type Activation, describeShape, type Imported, isVector } from "./values.ts";

export interface ImportOptions {
  /** What the file is called in errors. */
  readonly what?: string;
  /** Name of the network; the graph's by default. */
  readonly name?: string;
  /** What goes in, where the file leaves extents open. */
  readonly input?: FeatureShape;
  /** How the user prepares values before they reach the model, per channel: (x - mean) / std. It becomes part of the network. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** How the original model is fed and read, to compare it with what was imported. */
export interface ImportSource {
  /** The tool that wrote the file; empty when it does not say. */
  readonly producer: string;
  readonly opset: number;
  readonly inputName: string;
  /** Shape that goes into the network, batch first; of a model with an audio front end, the features'. */
  readonly inputShape: readonly number[];
  /** The batch size, where the file fixes it. */
  readonly batch: number | undefined;
  readonly channelsLast: boolean;
  readonly outputName: string;
  /** What stands between the network's logits and the model's output. */
  readonly ending: "logits" | "softmax" | "logSoftmax";
}

export interface ImportedNetwork {
  readonly network: Network;
  /** Weights by `layer.name`, float32. */
  readonly parameters: Map<string, Tensor>;
  /** From the metadata of a model of Sheaf's own. */
  readonly classNames?: readonly string[];
  /** The front end of a model of Sheaf's own that takes raw audio; the network then reads its features. */
  readonly audio?: AudioInput;
  /** Things worth telling the user. */
  readonly notes: readonly string[];
  readonly source: ImportSource;
}

/** Operator sets whose operators the table knows. */
const opsets = { least: 7, most: 21 } as const;
/** Unreadable nodes that an error lists. */
const listed = 10;

/** Operators that change nothing on the way from a softmax to the model's output. */
const passing: ReadonlySet<string> = new Set(["Identity", "Flatten", "Reshape", "Squeeze", "Cast"]);

function surroundingsOf({ nodes, output }: PreparedGraph): Surroundings {
  const endsInOutput = (name: string): boolean => {
    const readers = nodes.filter((n) => n.inputs.includes(name));
    if (readers.length === 0) return name === output.name;
    return name !== output.name && readers.every((r) => passing.has(r.op) && endsInOutput(r.outputs[0] as string));
  };
  return { endsInOutput };
}

interface Problem {
  readonly node: ForeignNode;
  readonly reason: string;
}

/** Operators whose output has their (largest) input's shape: behind one that cannot be read, reading goes on, to find the other problems too. */
const shapeKeeping: ReadonlySet<string> = new Set(
  "Mul Sub Div Max Min Pow Tanh Elu Selu Celu Gelu Softplus Softsign Mish Erf Exp Sqrt Abs Neg PRelu ThresholdedRelu HardSigmoid LRN InstanceNormalization GroupNormalization LayerNormalization BatchNormalization Softmax LogSoftmax QuantizeLinear DequantizeLinear".split(
    " ",
  ),
);

const largestActivation = (inputs: readonly (Imported | undefined)[]): Activation | undefined =>
  inputs.flatMap((v) => (v?.kind === "activation" ? [v] : [])).sort((a, b) => sizeOf(b.shape) - sizeOf(a.shape))[0];

/** Reads every node; what depends on an unreadable node whose output's shape is not known is not tried, so that problems are told once. */
function walk(
  graph: ForeignGraph,
  prepared: PreparedGraph,
  start: Activation,
  draft: Draft,
): { problems: Problem[]; output: Imported | undefined } {
  const around = surroundingsOf(prepared);
  const values = new Map<string, Imported>([[prepared.input.name, start]]);
  for (const [name, tensor] of graph.initializers) values.set(name, { kind: "constant", tensor });
  const lost = new Set<string>();
  const problems: Problem[] = [];
  for (const node of prepared.nodes) {
    const operator = operatorOf(node.op);
    const inputs = node.inputs.map((name) => values.get(name));
    const reader = readNode(node, graph.opset, inputs);
    const [first = "", ...rest] = node.outputs;
    try {
      const constants = inputs.flatMap((value) => (value?.kind === "constant" ? [value.tensor] : []));
      const fold = Object.hasOwn(folds, node.op) ? folds[node.op] : undefined;
      if (!operator && !fold) reader.fail("is an operator that Sheaf does not read");
      const missing = node.inputs.find((name) => name !== "" && !values.has(name));
      if (missing !== undefined) {
        if (!lost.has(missing)) reader.fail(`reads "${missing}", which is of a type that Sheaf does not use or does not exist`);
        for (const name of node.outputs) lost.add(name);
        continue;
      }
      let value: Imported;
      if (fold && inputs.length > 0 && constants.length === inputs.filter((v) => v).length)
        value = { kind: "constant", tensor: fold(reader, constants) };
      else if (operator) value = operator(reader, draft, around);
      else value = reader.fail("works on an activation; Sheaf reads it on constants alone");
      const used = rest.find((name) => (prepared.uses.get(name) ?? 0) > 0);
      if (used !== undefined) reader.fail(`has a further output "${used}" that is used`);
      values.set(first, value.kind === "activation" ? { ...value, shared: value.shared || (prepared.uses.get(first) ?? 0) > 1 } : value);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      problems.push({ node, reason: error.message });
      const standIn = shapeKeeping.has(node.op) ? largestActivation(inputs) : undefined;
      if (standIn) values.set(first, { ...standIn, shared: true });
      else for (const name of node.outputs) lost.add(name);
    }
  }
  return { problems, output: values.get(prepared.output.name) };
}

function describeProblems(problems: readonly Problem[], total: number): string {
  const lines = problems.slice(0, listed).map(({ node, reason }) => `node "${node.name}" (${node.op}) ${reason}`);
  const more = problems.length > listed ? `; and ${problems.length - listed} more` : "";
  const unknown = problems.some(({ node }) => !operatorOf(node.op)) ? `. Operators it reads: ${Object.keys(operators).join(", ")}` : "";
  return `${problems.length} of its ${total} nodes cannot be read: ${lines.join("; ")}${more}${unknown}`;
}

/** Puts the user's own preparation (x - m) / d before the normalization that the model does itself. */
function withPreparation(input: Network["input"], { mean, std }: ImportOptions): Network["input"] {
  const list = (name: string, values: readonly number[] | undefined, none: number): readonly number[] => {
    if (values === undefined) return Array.from({ length: input.channels }, () => none);
    if (values.length !== input.channels || values.some((v) => !Number.isFinite(v) || (name === "std" && v <= 0))) {
      throw new SheafError(
        "usage",
        `--${name} needs one ${name === "std" ? "positive " : ""}number for each of the ${input.channels} channels, got ${values.join(",")}.`,
      );
    }
    return values;
  };
  const [m, d] = [list("mean", mean, 0), list("std", std, 1)];
  return {
    ...input,
    mean: input.mean.map((v, c) => (m[c] as number) + (d[c] as number) * v),
    std: input.std.map((v, c) => (d[c] as number) * v),
  };
}

/** Class names as Sheaf's own models have them, when they fit. */
function classNamesOf(metadata: Readonly<Record<string, string>>, classes: number): readonly string[] | undefined {
  try {
    const names = JSON.parse(metadata.classNames ?? "") as unknown;
    return Array.isArray(names) && names.length === classes && names.every((n) => typeof n === "string") ? (names as string[]) : undefined;
  } catch {
    return undefined;
  }
}

/** A network whose weights are all there and have the shapes that its layers say. */
function checkParameters(network: Network, parameters: ReadonlyMap<string, Tensor>, fail: Fail): void {
  for (const { layer, parameters: specs } of placeLayers(network)) {
    for (const { name, shape } of specs) {
      const value = parameters.get(`${layer.name}.${name}`);
      if (!value || !sameShape(value.shape, shape)) {
        fail(
          `its layer "${layer.name}" needs ${name} of shape ${describeShape(shape)}, but the file has ${value ? describeShape(value.shape) : "none"}`,
        );
      }
    }
  }
}

/** Name that `featureGraph` gives to what it makes. */
const featuresName = "features/features";

/** Where the network of a model with Sheaf's own audio front end begins. */
function featuresOf(graph: ForeignGraph, { features, samples }: AudioInput, fail: Fail): ForeignValue {
  if (!graph.nodes.some((n) => n.outputs.includes(featuresName))) {
    fail(`its metadata tells of an audio front end, but no node gives "${featuresName}"; give the model as sheaf wrote it`);
  }
  const { channels, height, width } = featureShape(features, samples);
  return { name: featuresName, dtype: "float32", shape: ["N", channels, height, width] };
}

function startOf({ shape, feature }: InputShape, channelsLast: boolean, uses: number): Activation {
  return { kind: "activation", layer: inputName, feature, shape, channelAxis: channelsLast ? 3 : 1, nonNegative: false, shared: uses > 1 };
}

/**
 * Reads an ONNX model, a classifier with one image input and one output, into a network with its weights. A softmax at the end is left out;
 * normalization at the start becomes the network's own. Weights are kept as they are, except where a constant that is added or multiplied
 * goes into the layer before it.
 * Throws `network` naming every node that cannot be read (the first ten), with operator and reason; `corrupt` for what is no ONNX file.
 * @example const { network, parameters } = importNetwork(await readFile("resnet.onnx"), { what: "resnet.onnx" });
 */
export function importNetwork(bytes: Uint8Array, options: ImportOptions = {}): ImportedNetwork {
  const what = options.what ?? "The ONNX file";
  const fail: Fail = (sentence) => {
    throw new SheafError("network", `${what} cannot be imported: ${sentence}.`);
  };
  const graph = readForeign(bytes, { what });
  if (graph.opset < opsets.least || graph.opset > opsets.most) {
    fail(
      `it uses ONNX operator set ${graph.opset}, Sheaf imports ${opsets.least} to ${opsets.most}; convert it with ONNX's version converter`,
    );
  }
  const audio = readAudioMetadata(graph.metadata, what);
  const features = audio && featuresOf(graph, audio, fail);
  const prepared = prepareGraph(graph, features, fail);
  const channelsLast = hasChannelsLast(prepared);
  const shape = inputShapeOf(prepared, channelsLast, options.input, fail);
  const draft = newDraft(shape.feature);
  const start = startOf(shape, channelsLast, prepared.uses.get(prepared.input.name) ?? 0);
  const { problems, output } = walk(graph, prepared, start, draft);
  if (problems.length > 0) return fail(describeProblems(problems, prepared.nodes.length));
  if (output?.kind !== "activation" || draft.layers.length === 0) return fail("its output does not depend on its input");
  if (!isVector(output.feature) || (output.flattenedFrom && !isVector(output.flattenedFrom))) {
    return fail(
      `its output "${prepared.output.name}" is ${describeShape(output.shape)}; Sheaf reads classifiers, which give one value for each class`,
    );
  }
  const network: Network = {
    name: options.name ?? (graph.name === "" ? "imported" : graph.name),
    input: withPreparation(draft.input(), options),
    layers: [...draft.layers],
  };
  checkParameters(network, draft.parameters, fail);
  const classNames = classNamesOf(graph.metadata, output.feature.channels);
  return {
    network,
    parameters: draft.parameters,
    ...(classNames ? { classNames } : {}),
    ...(audio ? { audio } : {}),
    notes: [...draft.notes],
    source: {
      producer: graph.producer,
      opset: graph.opset,
      inputName: audio ? (graph.inputs[0]?.name ?? "") : prepared.input.name,
      inputShape: shape.shape,
      batch: shape.batch,
      channelsLast,
      outputName: prepared.output.name,
      ending: draft.ending,
    },
  };
}
