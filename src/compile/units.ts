/** What the training compiler writes at one go: a layer, or a few layers that are cheaper together. */
import { rulesOf } from "../network/layers/table.ts";
import type { Layer } from "../network/network.ts";
import type { Activation, Traced, TrainingContext } from "../network/rules.ts";
import type { PlacedLayer } from "../network/shapes.ts";
import { isNormalizedPool, type NormalizedPool, traceNormalizedPool } from "./normalizedPool.ts";

export type ContextOf = (placed: PlacedLayer) => TrainingContext;

export interface Unit {
  /** Name of the layer whose output is the unit's output. */
  readonly name: string;
  /** Names of the activations it reads. */
  readonly inputs: readonly string[];
  readonly layers: readonly PlacedLayer[];
  /** As a layer's; the gradients of parameters go by `layer.parameter`. */
  train(contextOf: ContextOf, inputs: readonly Activation[]): Traced;
}

/** One layer by itself. */
export function singleUnit(placed: PlacedLayer): Unit {
  const { layer, output } = placed;
  return {
    name: layer.name,
    inputs: layer.inputs,
    layers: [placed],
    train(contextOf, inputs) {
      const traced = rulesOf(layer).train(contextOf(placed), layer, inputs, output);
      return {
        output: traced.output,
        backward(gradient, wanted) {
          const { inputs: parts, parameters } = traced.backward(gradient, wanted);
          return {
            inputs: parts,
            parameters: Object.fromEntries(Object.entries(parameters).map(([name, v]) => [`${layer.name}.${name}`, v])),
          };
        },
      };
    },
  };
}

function normalizedPool(group: NormalizedPool): Unit {
  const { conv, norm, pool } = group;
  return {
    name: pool.layer.name,
    inputs: conv.layer.inputs,
    layers: [conv, norm, pool],
    train: (contextOf, [x]) => traceNormalizedPool(group, contextOf, x as Activation),
  };
}

/** Groups the layers of a network, in order. Every layer is in exactly one unit. */
export function unitsOf(placed: readonly PlacedLayer[], batchSize: number): readonly Unit[] {
  const readers = new Map<string, number>();
  for (const { layer } of placed) for (const name of layer.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  const byName = new Map(placed.map((p) => [p.layer.name, p]));
  /** The layer that `layer` alone reads. */
  const before = (layer: Layer | undefined): PlacedLayer | undefined => {
    const name = layer?.inputs[0] ?? "";
    return readers.get(name) === 1 ? byName.get(name) : undefined;
  };
  const groups = new Map<string, NormalizedPool>();
  for (const pool of placed) {
    const norm = before(pool.layer);
    const conv = before(norm?.layer);
    if (conv && norm && isNormalizedPool({ conv, norm, pool }, batchSize)) groups.set(pool.layer.name, { conv, norm, pool });
  }
  const absorbed = new Set([...groups.values()].flatMap(({ conv, norm }) => [conv.layer.name, norm.layer.name]));
  return placed
    .filter(({ layer }) => !absorbed.has(layer.name))
    .map((p) => {
      const group = groups.get(p.layer.name);
      return group ? normalizedPool(group) : singleUnit(p);
    });
}
