/** The target network of a configuration: by name or from a network file, for a data set's images and classes. */
import { type DatasetName, datasetCatalog } from "../data/catalog.ts";
import type { Dataset } from "../data/dataset.ts";
import { buildModel, models } from "../models/table.ts";
import { narrow } from "../network/narrow.ts";
import type { Network, NetworkInput } from "../network/network.ts";
import { outputShape, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import type { RunConfig } from "./config.ts";

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

/**
 * Builds the target. A name with a `.json` ending is a network file.
 * Throws `network` when its number of logits is not the number of classes.
 */
export async function buildTarget(config: RunConfig, fit: TargetFit): Promise<Network> {
  const { network: name, width } = config.target;
  if (!name.endsWith(".json")) return buildModel(name, fit.input, fit.classes, width);
  const network = narrow(await readNetwork(name, fit), width);
  const { channels } = outputShape(network);
  if (channels !== fit.classes) {
    throw new SheafError(
      "network",
      `${name} ends in ${channels} logits, but the data has ${fit.classes} classes; give its last layer ${fit.classes} outputs.`,
    );
  }
  return network;
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
