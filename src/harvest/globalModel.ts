/** Glues harvested sub-models into one graph: parallel branches, concatenated, one head over all classes. */
import { asRows, deployInput, deployNetwork, type InputOptions, inputMetadata } from "../compile/deploy.ts";
import type { SubModel } from "../decouple/subModel.ts";
import { layerCost, networkCost, placeLayers } from "../network/shapes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { Graph, Value } from "../onnx/graph.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import type { Tensor } from "../util/tensor.ts";
import { writeExpansion } from "./expansion.ts";
import { finalLayer, type Harvested, layOut } from "./harvested.ts";
import { basisWidth, type Head, type HeadBasis } from "./heads.ts";

/** What the branches give, one after another in the order of the harvest. */
export interface BranchOutputs {
  /** [N, features]: the inputs of the branches' final linear layers. */
  readonly features: Value;
  /** [N, sum of (classes + 1)]: log softmax of each branch's logits; absent when not asked for. */
  readonly logProbabilities: Value | undefined;
}

/** Writes all branches side by side; without log-probabilities, the branches' final linear layers are left out. */
export function writeBranches(
  b: GraphBuilder,
  harvested: readonly Harvested[],
  image: Value,
  withLogProbabilities: boolean,
): BranchOutputs {
  const features: Value[] = [];
  const logProbabilities: Value[] = [];
  for (const { subModel, parameters } of harvested) {
    const { device, network } = subModel;
    const { featureLayer } = finalLayer(network);
    const upTo = withLogProbabilities ? {} : { upTo: featureLayer };
    const { output, activations } = deployNetwork(b, network, image, parameters, { prefix: device, ...upTo });
    b.scope(device, () => {
      features.push(asRows(b, activations.get(featureLayer) as Value, "features"));
      if (withLogProbabilities) logProbabilities.push(b.op("LogSoftmax", [asRows(b, output)], { axis: 1 }, "logProbabilities"));
    });
  }
  const join = (values: readonly Value[], hint: string): Value => (values.length === 1 ? (values[0] as Value) : b.concat(values, 1, hint));
  return {
    features: join(features, "allFeatures"),
    logProbabilities: withLogProbabilities ? join(logProbabilities, "allLogProbabilities") : undefined,
  };
}

/** Declares the input `image` [N, channels, height, width] that all branches read. */
export function imageInput(b: GraphBuilder, harvested: readonly Harvested[], batchSize = 1): Value {
  layOut(harvested.map((h) => h.subModel));
  const { channels, height, width } = (harvested[0] as Harvested).subModel.network.input;
  return b.input("image", "float32", [batchSize, channels, height, width]);
}

/**
 * The branches alone: input `image` as in the global model, outputs `features` [N, features] and `logProbabilities` [N, sum of (classes + 1)],
 * in the order that `layOut` tells; and the logits [N, classes] of further heads, each under its name. Throws `config` when the branches do not go together, `corrupt` when parameters do not fit.
 */
export function branchGraph(harvested: readonly Harvested[], heads: ReadonlyMap<string, Head> = new Map()): Graph {
  const b = new GraphBuilder();
  const outputs = writeBranches(b, harvested, imageInput(b, harvested), true);
  b.output("features", outputs.features);
  b.output("logProbabilities", outputs.logProbabilities as Value);
  for (const [name, head] of heads)
    b.output(
      name,
      b.scope(`${name}.head`, () => writeHead(b, outputs, head)),
    );
  return b.build("sheaf-branches", { branches: describeBranches(harvested) });
}

const describeBranches = (harvested: readonly Harvested[]): string =>
  canonicalJson(harvested.map(({ subModel }) => ({ device: subModel.device, taskSet: subModel.taskSet })));

export interface GlobalModelOptions extends InputOptions {
  /** One name per class; stored as JSON under "classNames". */
  readonly classNames: readonly string[];
  /** Name of the graph; "sheaf-global" by default. */
  readonly name?: string;
  /** Version of Sheaf, stored under "sheafVersion". */
  readonly version?: string;
  /** Further metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * The global model: input `image` [N, channels, height, width], float32 raw values, or with a front end `audio` [N, samples], float32 in
 * [-1, 1], whose features all branches share; outputs `logits` and `probabilities` [N, classes]. Metadata: `classNames`, `branches` (device and
 * task set of each, JSON), `head` (its type, H0 to H5), and of a front end `audioFeatures` and `clipSamples`. A head on features leaves the branches'
 * own final layers out. Write it with `writeOnnx(graph, { batchAxis: "N" })`. The same parts in the same order give the same graph.
 * Throws `config` when branches, head and class names do not go together, `network` when the branches do not read the front end's features,
 * `corrupt` when parameters do not fit.
 * @example writeOnnx(assembleGlobal(harvested, freeHead(subModels, 10), { classNames }), { batchAxis: "N" })
 */
export function assembleGlobal(harvested: readonly Harvested[], head: Head, options: GlobalModelOptions): Graph {
  const layout = layOut(harvested.map((h) => h.subModel));
  const [classes = 0, columns = 0] = head.weight.shape;
  const given = basisWidth(layout, head.on, head.expansion?.shape[0]);
  if (columns !== given) {
    throw new SheafError(
      "config",
      `The ${head.type} head reads ${columns} ${head.on}, but the branches give ${given}; make the head from these very branches.`,
    );
  }
  if (classes !== options.classNames.length) {
    throw new SheafError(
      "config",
      `The ${head.type} head has ${classes} classes, but ${options.classNames.length} class names were given.`,
    );
  }
  const b = new GraphBuilder();
  const { input } = (harvested[0] as Harvested).subModel.network;
  const outputs = writeBranches(b, harvested, deployInput(b, input, options), readsScores(head.on));
  const logits = b.scope("head", () => writeHead(b, outputs, head));
  const probabilities = b.op("Softmax", [logits], { axis: 1 });
  b.output("logits", logits);
  b.output("probabilities", probabilities);
  return b.build(options.name ?? "sheaf-global", {
    ...options.metadata,
    ...inputMetadata(options),
    ...(options.version === undefined ? {} : { sheafVersion: options.version }),
    branches: describeBranches(harvested),
    classNames: JSON.stringify(options.classNames),
    head: head.type,
  });
}

const readsScores = (on: HeadBasis): boolean => on === "logProbabilities" || on === "featuresAndScores";

/** Writes a head over the branches' outputs: logits [N, classes]. Log-probabilities must have been written where the head reads them. */
export function writeHead(b: GraphBuilder, { features, logProbabilities }: BranchOutputs, head: Head): Value {
  const rows: { readonly [B in HeadBasis]: () => Value } = {
    features: () => features,
    logProbabilities: () => logProbabilities as Value,
    featuresAndScores: () => b.concat([features, logProbabilities as Value], 1),
    featuresAndExpansion: () => b.concat([features, writeExpansion(b, features, head.expansion as Tensor<"float32">)], 1),
  };
  return b.op("Gemm", [rows[head.on](), b.parameter("weight", head.weight), b.parameter("bias", head.bias)], { transB: 1 }, "logits");
}

export interface GlobalCost {
  /** Multiply-adds of one image. */
  readonly macs: number;
  /** Trained parameters, the head's included, running statistics not. */
  readonly parameters: number;
}

/**
 * Cost of the global model under a head on log-probabilities (H0, H1), on features (H2, H5), on both (H3) or on features and an expansion of `expanded`
 * columns (H4; its weights count as parameters though they are never trained), without needing trained parts.
 */
export function globalCost(subModels: readonly SubModel[], on: HeadBasis, classCount: number, expanded: number = 0): GlobalCost {
  const layout = layOut(subModels);
  const columns = basisWidth(layout, on, expanded);
  const expansion = on === "featuresAndExpansion" ? expanded * layout.features : 0;
  let macs = classCount * columns + expansion;
  let parameters = classCount * columns + classCount + expansion;
  for (const { network } of subModels) {
    const all = networkCost(network);
    const last = layerCost(placeLayers(network).at(-1) as ReturnType<typeof finalLayer>["placed"]);
    macs += all.macs - (readsScores(on) ? 0 : last.macs);
    parameters += all.parameters - (readsScores(on) ? 0 : last.parameters);
  }
  return { macs, parameters };
}
