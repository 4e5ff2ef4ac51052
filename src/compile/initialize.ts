/** First values of a network's parameters, from a seed. */
import type { Network } from "../network/network.ts";
import type { Initializer } from "../network/rules.ts";
import { placeLayers } from "../network/shapes.ts";
import { type Random, random } from "../util/random.ts";
import { type FloatDType, type Tensor, zeros } from "../util/tensor.ts";

const draws: { readonly [T in Initializer["type"]]: (initializer: Extract<Initializer, { type: T }>, source: Random) => () => number } = {
  constant:
    ({ value }) =>
    () =>
      value,
  kaimingNormal: ({ fan }, source) => {
    const deviation = Math.sqrt(2 / fan);
    return () => source.normal() * deviation;
  },
  uniform:
    ({ bound }, source) =>
    () =>
      (2 * source.uniform() - 1) * bound,
};

/**
 * Every parameter and layer state of `network` by name (`conv1.weight`). Each parameter has a random stream of its own, so
 * that adding a layer changes no other's values.
 */
export function initialParameters(network: Network, seed: number, dtype: FloatDType = "float32"): Map<string, Tensor> {
  const result = new Map<string, Tensor>();
  for (const { layer, parameters } of placeLayers(network)) {
    for (const spec of parameters) {
      const name = `${layer.name}.${spec.name}`;
      const value = zeros(dtype, spec.shape);
      const draw = (draws[spec.initializer.type] as (i: Initializer, s: Random) => () => number)(
        spec.initializer,
        random(seed, "parameter", name),
      );
      for (let i = 0; i < value.data.length; i++) value.data[i] = draw();
      result.set(name, value);
    }
  }
  return result;
}
