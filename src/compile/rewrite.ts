/** Rewrites a network into an equal one that trains faster. Outputs and parameters' names stay the same. */
import type { Layer, Network } from "../network/network.ts";

/**
 * Pools before rectifying: max(relu(x)) = relu(max(x)), so a maxPool that is the only reader of a relu changes places with it,
 * and the relu works on a quarter of the values.
 * Requires: nothing. Ensures: the same function; a network in which no maxPool reads a relu that nothing else reads.
 */
export function poolBeforeRelu(network: Network): Network {
  const readers = new Map<string, number>();
  for (const layer of network.layers) for (const name of layer.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  const byName = new Map(network.layers.map((layer) => [layer.name, layer]));
  const result = new Map<string, Layer>(byName);
  for (const pool of network.layers) {
    const relu = byName.get(pool.inputs[0] ?? "");
    if (pool.type !== "maxPool" || relu?.type !== "relu" || readers.get(relu.name) !== 1) continue;
    // The pool takes the relu's place and inputs; the relu takes the pool's place, and readers of the pool read it.
    result.set(relu.name, { ...pool, name: relu.name, inputs: relu.inputs });
    result.set(pool.name, { ...relu, name: pool.name, inputs: [relu.name] });
  }
  return { ...network, layers: network.layers.map((layer) => result.get(layer.name) as Layer) };
}

/** All rewrites, in order. */
export function forTraining(network: Network): Network {
  return poolBeforeRelu(network);
}
