/** The target network of a configuration: by name, from a network file, a model or a module, for a data set's samples and classes. */
import { extname } from "node:path";
import { type DatasetName, datasetCatalog } from "../data/catalog.ts";
import type { Dataset } from "../data/dataset.ts";
import type { LearningRates } from "../models/definition.ts";
import { buildModel, models } from "../models/table.ts";
import { narrow } from "../network/narrow.ts";
import type { FeatureShape, Network, NetworkInput } from "../network/network.ts";
import { outputShape, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import { decodeSafetensors } from "../util/safetensors.ts";
import { sameShape, type Tensor } from "../util/tensor.ts";
import type { RunConfig } from "./config.ts";
import { loadNetworkModule } from "./modules.ts";

/** What a network must fit: images and number of classes. */
export interface TargetFit {
  readonly input: NetworkInput;
  readonly classes: number;
}

/** Images of a loaded data set, normalized by its training statistics. */
export function fitOf(dataset: Dataset): TargetFit {
  return { input: { ...dataset.shape, mean: dataset.mean, std: dataset.std }, classes: dataset.classNames.length };
}

/** Images of a data set that need not be at hand: its shape, values taken as they are. */
export function catalogFit(name: string): TargetFit {
  const known = name === "auto" ? "cifar10" : name;
  if (!Object.hasOwn(datasetCatalog, known)) {
    throw new SheafError("config", `Unknown data set "${name}"; known data sets are ${Object.keys(datasetCatalog).join(", ")}.`);
  }
  const { shape, classCount } = datasetCatalog[known as DatasetName];
  const zeros = Array.from({ length: shape.channels }, () => 0);
  return { input: { ...shape, mean: zeros, std: zeros.map(() => 1) }, classes: classCount };
}

/**
 * Reads a network from a JSON file: an object with `name` and `layers` (and optionally `input`, which must fit the data).
 * Throws `data` when there is no such file, `network` when it is no network.
 */
async function readNetwork(path: string, fit: TargetFit): Promise<Network> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(await readFileChecked(path, "network file")));
  } catch (cause) {
    if (cause instanceof SheafError) throw cause;
    throw new SheafError(
      "network",
      `${path} is not JSON: ${cause instanceof Error ? cause.message : cause}; write an object with name and layers.`,
      { cause },
    );
  }
  const value = parsed as Partial<Network> | null;
  if (typeof value !== "object" || value === null || !Array.isArray(value.layers)) {
    throw new SheafError(
      "network",
      `${path} is no network: expected an object with name and a list of layers, as in examples/network.json.`,
    );
  }
  for (const [i, layer] of value.layers.entries()) {
    if (typeof layer !== "object" || layer === null || typeof layer.name !== "string" || !Array.isArray(layer.inputs)) {
      throw new SheafError("network", `${path}: layer ${i + 1} needs name, type and inputs, got ${JSON.stringify(layer)?.slice(0, 80)}.`);
    }
  }
  const network: Network = { name: value.name ?? "network", layers: value.layers, input: value.input ?? fit.input };
  placeLayers(network);
  return network;
}

/** The target, and the weights that it brings, if it is a trained one. */
export interface Target {
  readonly network: Network;
  /** By name; where its head was replaced to fit the data's classes, without the head's. */
  readonly parameters?: ReadonlyMap<string, Tensor>;
  /** Of a module's network: the rates that it names. */
  readonly learningRate?: LearningRates | undefined;
}

const shapeText = ({ channels, height, width }: FeatureShape): string => `${channels}x${height}x${width}`;

/** A model as it is; where it leaves the size of its input open, with the size of the data. */
async function importModel(path: string, fit: TargetFit): Promise<Target> {
  const bytes = await readFileChecked(path, "model");
  const { importNetwork } = await import("../import/importNetwork.ts");
  try {
    return importNetwork(bytes, { what: path });
  } catch (error) {
    try {
      return importNetwork(bytes, { what: path, input: fit.input });
    } catch {
      throw error;
    }
  }
}

async function networkOfModule(path: string, fit: TargetFit): Promise<Target> {
  const { build, learningRate } = await loadNetworkModule(path);
  return { network: build(fit.input, fit.classes), learningRate };
}

/** A network of the configuration as it stands in its file or table, with the weights of a model file. */
async function readTarget(name: string, fit: TargetFit): Promise<Target> {
  switch (extname(name)) {
    case ".json":
      return { network: await readNetwork(name, fit) };
    case ".onnx":
      return importModel(name, fit);
    case ".ts":
    case ".mjs":
    case ".js":
      return networkOfModule(name, fit);
    default:
      return { network: buildModel(name, fit.input, fit.classes) };
  }
}

/** Trained weights from a file, for `network`. Throws `data` or `corrupt`, naming the file. */
async function readWeights(path: string): Promise<ReadonlyMap<string, Tensor>> {
  return decodeSafetensors(await readFileChecked(path, "weights"), path).tensors;
}

/** The target with as many logits as its weights have: they may come from data with other classes. */
function withHeadOfWeights(target: Target): Target {
  const head = placeLayers(target.network).findLast(({ parameters }) => parameters.length > 0);
  const logits = head && target.parameters?.get(`${head.layer.name}.weight`)?.shape[0];
  if (logits === undefined || logits === outputShape(target.network).channels) return target;
  return { ...target, network: narrow(target.network, 1, logits) };
}

/** A trained target with a new head of `classes` logits; all other weights are kept. */
function withNewHead(target: Target, classes: number): Target {
  const network = narrow(target.network, 1, classes);
  const shapes = new Map(
    placeLayers(network).flatMap(({ layer, parameters }) => parameters.map((p) => [`${layer.name}.${p.name}`, p.shape])),
  );
  const kept = [...(target.parameters ?? [])].filter(([key, value]) => sameShape(shapes.get(key) ?? [-1], value.shape));
  return { ...target, network, parameters: new Map(kept) };
}

/** Throws `corrupt` unless every weight has a place in the network and its shape. */
function checkWeights({ network, parameters }: Target, where: string): void {
  for (const { layer, parameters: specs } of placeLayers(network)) {
    for (const spec of specs) {
      const key = `${layer.name}.${spec.name}`;
      const found = parameters?.get(key);
      if (found && sameShape(found.shape, spec.shape)) continue;
      throw new SheafError(
        "corrupt",
        `${where}: weight "${key}" of network "${network.name}" should have shape [${spec.shape.join(", ")}], ${found ? `got [${found.shape.join(", ")}]` : "but it is missing"}; give the weights of this very network.`,
      );
    }
  }
}

/**
 * The target: by name from the table of networks, from a network file (.json), an ONNX model (.onnx) or a module (.ts, .mjs, .js), with
 * trained weights where there are any. A trained target with another number of classes keeps its weights and gets a new head.
 * Throws `network` when it does not fit the data, `corrupt` when weights do not fit the network, `config` for a trained target made narrower.
 */
export async function loadTarget(config: RunConfig, fit: TargetFit): Promise<Target> {
  const { network: name, width, weights } = config.target;
  const read = await readTarget(name, fit);
  const trained: Target = weights === undefined ? read : withHeadOfWeights({ ...read, parameters: await readWeights(weights) });
  const { input } = trained.network;
  if (shapeText(input) !== shapeText(fit.input)) {
    throw new SheafError(
      "network",
      `${name} takes ${shapeText(input)} inputs, but the data has ${shapeText(fit.input)}; bring the data to its size (data.imageSize) or choose another network.`,
    );
  }
  if (!trained.parameters) {
    const network = narrow(trained.network, width);
    const { channels } = outputShape(network);
    if (channels === fit.classes) return { ...trained, network };
    throw new SheafError(
      "network",
      `${name} ends in ${channels} logits, but the data has ${fit.classes} classes; give its last layer ${fit.classes} outputs.`,
    );
  }
  if (width !== 1) {
    throw new SheafError(
      "config",
      `${weights ?? name} holds trained weights, which fit width 1 only, got target.width ${width}; leave the width out.`,
    );
  }
  checkWeights(trained, weights ?? name);
  return outputShape(trained.network).channels === fit.classes ? trained : withNewHead(trained, fit.classes);
}

/** The network of `loadTarget`. */
export async function buildTarget(config: RunConfig, fit: TargetFit): Promise<Network> {
  return (await loadTarget(config, fit)).network;
}

/** The configuration with the learning rates of a module's network where none are configured. */
export function withRates(config: RunConfig, { learningRate }: Target): RunConfig {
  const { schedule } = config.training;
  if (!learningRate || schedule.learningRate !== undefined) return config;
  return {
    ...config,
    training: { ...config.training, schedule: { ...schedule, learningRate: learningRate.wide } },
    fleet: { ...config.fleet, learningRate: config.fleet.learningRate ?? learningRate.narrow },
  };
}

/** Whether a rate is for the target itself or for its narrow sub-models and the slim control. */
export type WidthKind = "wide" | "narrow";

/** The peak learning rate: as configured for sub-models, or for all, or the model's own default. */
export function peakLearningRate(config: RunConfig, kind: WidthKind): number {
  const name = config.target.network;
  const known = Object.hasOwn(models, name) ? models[name as keyof typeof models].learningRate[kind] : 0.05;
  const own = kind === "narrow" ? config.fleet.learningRate : undefined;
  return own ?? config.training.schedule.learningRate ?? known;
}
