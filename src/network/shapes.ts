/** Walks a network once: checks it, infers every shape, lists parameters and costs. */
import { SheafError } from "../util/errors.ts";
import { sizeOf } from "../util/tensor.ts";
import { layerRules, rulesOf } from "./layers/table.ts";
import { type FeatureShape, inputName, type Layer, type Network } from "./network.ts";
import type { ParameterSpec } from "./rules.ts";

/** A layer with all that follows from its place in the network. */
export interface PlacedLayer {
  readonly layer: Layer;
  readonly inputs: readonly FeatureShape[];
  readonly output: FeatureShape;
  readonly parameters: readonly ParameterSpec[];
}

const elements = (shape: FeatureShape): number => shape.channels * shape.height * shape.width;

/**
 * Checks a network and infers its shapes, layer by layer.
 * Throws `network` on an unknown layer type, a duplicate or missing name, a wrong number of inputs or shapes that do not fit.
 */
export function placeLayers(network: Network): readonly PlacedLayer[] {
  const shapes = new Map<string, FeatureShape>([[inputName, network.input]]);
  const { mean, std, channels } = network.input;
  if (mean.length !== channels || std.length !== channels) {
    throw new SheafError(
      "network",
      `Network "${network.name}": the input has ${channels} channels but ${mean.length} means and ${std.length} standard deviations; give one of each per channel.`,
    );
  }
  if (std.some((s) => !(s > 0))) {
    throw new SheafError("network", `Network "${network.name}": standard deviations of the input must be positive, got ${std.join(", ")}.`);
  }
  if (network.layers.length === 0) throw new SheafError("network", `Network "${network.name}" has no layers; give at least one.`);
  return network.layers.map((layer) => {
    if (!Object.hasOwn(layerRules, layer.type)) {
      throw new SheafError(
        "network",
        `Layer "${layer.name}" has unknown type "${layer.type}"; known types are ${Object.keys(layerRules).join(", ")}.`,
      );
    }
    if (!/^[A-Za-z0-9_-]+$/.test(layer.name) || shapes.has(layer.name)) {
      throw new SheafError(
        "network",
        `Layer name "${layer.name}" is ${shapes.has(layer.name) ? "used twice" : "not made of letters, digits, _ and -"}; rename the layer.`,
      );
    }
    const rules = rulesOf(layer);
    const [least, most] = rules.arity;
    if (layer.inputs.length < least || layer.inputs.length > most) {
      throw new SheafError("network", `Layer "${layer.name}": ${layer.type} takes ${least} to ${most} inputs, got ${layer.inputs.length}.`);
    }
    const inputs = layer.inputs.map((name) => {
      const shape = shapes.get(name);
      if (!shape) {
        throw new SheafError(
          "network",
          `Layer "${layer.name}" reads "${name}", which no earlier layer is called; known so far: ${[...shapes.keys()].join(", ")}.`,
        );
      }
      return shape;
    });
    const output = rules.outputShape(layer, inputs);
    shapes.set(layer.name, output);
    return { layer, inputs, output, parameters: rules.parameters(layer, inputs) };
  });
}

/** What one layer, or a whole network, costs. */
export interface Cost {
  /** Multiply-adds of one sample's forward pass. A training step counts as three forward passes. */
  readonly macs: number;
  /** Trained parameters. */
  readonly parameters: number;
  /** Running statistics and the like. */
  readonly stateElements: number;
  /** Bytes of the layers' float32 outputs, per sample. */
  readonly activationBytes: number;
  /** Bytes per sample that a training step holds until its backward pass: outputs and workspaces (gathered columns, masks). */
  readonly trainingBytes: number;
}

/** Cost of one placed layer. */
export function layerCost(placed: PlacedLayer): Cost {
  const rules = rulesOf(placed.layer);
  const count = (role: ParameterSpec["role"]): number =>
    placed.parameters.filter((p) => p.role === role).reduce((sum, p) => sum + sizeOf(p.shape), 0);
  const activationBytes = 4 * elements(placed.output);
  return {
    macs: rules.macs(placed.layer, placed.inputs, placed.output),
    parameters: count("parameter"),
    stateElements: count("state"),
    activationBytes,
    trainingBytes: activationBytes + 4 * rules.workspaceElements(placed.layer, placed.inputs, placed.output),
  };
}

/** Cost of a network: the sum over its layers. */
export function networkCost(network: Network): Cost {
  const total = { macs: 0, parameters: 0, stateElements: 0, activationBytes: 0, trainingBytes: 0 };
  for (const placed of placeLayers(network)) {
    const cost = layerCost(placed);
    for (const key of Object.keys(total) as (keyof Cost)[]) total[key] += cost[key];
  }
  return total;
}

/** Shape of a network's output. */
export function outputShape(network: Network): FeatureShape {
  return (placeLayers(network).at(-1) as PlacedLayer).output;
}
