/** What came back from the devices, and where each branch's values stand in the global model's concatenated features and log-probabilities. */
import type { SubModel } from "../decouple/subModel.ts";
import { inputName, type Network } from "../network/network.ts";
import { type PlacedLayer, placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import type { Tensor } from "../util/tensor.ts";

/** A trained sub-model that came back from its device. */
export interface Harvested {
  readonly subModel: SubModel;
  /** Every parameter and layer state by name (`conv1.weight`). */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  /** How many of the background samples were made from own samples, and so are in no class's count; 0 by default. */
  readonly madeSamples?: number;
  /** Tau of the logit adjustment that it was trained with, which takes that much of the priors out of its answers; 0 by default. */
  readonly logitAdjustment?: number;
  /** Training samples per class seen by this device, background included. */
  readonly classCounts: readonly number[];
}

/** Place of one branch in the concatenations; ranges are [start, end). */
export interface BranchPlace {
  readonly device: string;
  readonly taskSet: readonly number[];
  /** Columns of the pooled features. */
  readonly features: readonly [start: number, end: number];
  /** Columns of the log-probabilities: one per class of the task set, in its order, then "other". */
  readonly logProbabilities: readonly [start: number, end: number];
}

export interface BranchLayout {
  readonly branches: readonly BranchPlace[];
  /** Length of the concatenated features. */
  readonly features: number;
  /** Length of the concatenated log-probabilities. */
  readonly logProbabilities: number;
}

/** The final linear layer of a sub-model, and the layer whose output (the pooled features) it reads. */
export interface FinalLayer {
  readonly placed: PlacedLayer;
  /** Name of the layer that gives the features. */
  readonly featureLayer: string;
  /** Number of pooled features. */
  readonly features: number;
}

/** Finds the final linear layer. Throws `network` when the network ends in another type of layer. */
export function finalLayer(network: Network): FinalLayer {
  const placed = placeLayers(network).at(-1) as PlacedLayer;
  if (placed.layer.type !== "linear") {
    throw new SheafError(
      "network",
      `Network "${network.name}" ends in a ${placed.layer.type} layer ("${placed.layer.name}"); a branch of a global model must end in a linear layer, whose input is the branch's features.`,
    );
  }
  return { placed, featureLayer: placed.layer.inputs[0] ?? inputName, features: placed.inputs[0]?.channels ?? 0 };
}

/**
 * Places the branches side by side, in the given order.
 * Throws `config` when there is none, a device appears twice, a head has not one logit per class and one more, or the inputs differ in shape.
 */
export function layOut(subModels: readonly SubModel[]): BranchLayout {
  const [first] = subModels;
  if (!first) throw new SheafError("config", "A global model needs at least one harvested sub-model, got none.");
  const branches: BranchPlace[] = [];
  let features = 0;
  let logProbabilities = 0;
  for (const { device, taskSet, network } of subModels) {
    const { channels, height, width } = network.input;
    const expected = first.network.input;
    if (branches.some((branch) => branch.device === device)) {
      throw new SheafError("config", `Device "${device}" has two sub-models in one global model; keep one of them.`);
    }
    if (channels !== expected.channels || height !== expected.height || width !== expected.width) {
      throw new SheafError(
        "config",
        `The branch of device "${device}" reads ${channels}x${height}x${width} images, that of "${first.device}" ${expected.channels}x${expected.height}x${expected.width}; all must read the same.`,
      );
    }
    const final = finalLayer(network);
    const columns = taskSet.length + 1;
    if (final.placed.output.channels !== columns) {
      throw new SheafError(
        "config",
        `The branch of device "${device}" has ${final.placed.output.channels} logits; its ${taskSet.length} classes and "other" need ${columns}.`,
      );
    }
    branches.push({
      device,
      taskSet,
      features: [features, features + final.features],
      logProbabilities: [logProbabilities, logProbabilities + columns],
    });
    features += final.features;
    logProbabilities += columns;
  }
  return { branches, features, logProbabilities };
}

/** Column of a class in the concatenated log-probabilities: its own where the branch owns it, else the branch's "other". */
export function columnOf(branch: BranchPlace, classId: number): number {
  const own = branch.taskSet.indexOf(classId);
  return branch.logProbabilities[0] + (own < 0 ? branch.taskSet.length : own);
}
