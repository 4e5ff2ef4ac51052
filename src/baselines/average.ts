/** Averages what clients trained, value by value over those who hold it; running statistics of batch norm are pooled. */
import type { Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { type Tensor, tensor } from "../util/tensor.ts";
import { placesOf, type Slice } from "./slices.ts";

/** One client's trained slice. */
export interface Contribution {
  readonly slice: Slice;
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** What it counts beside the others; often its number of samples. */
  readonly weight: number;
}

/** Which of the server's tensors are averaged. */
export type Averaged = "all" | "statistics";

/**
 * The server's next state. Each value is the weighted mean over the clients whose slice holds it, and stays as it was where none does.
 * The running variance is that of all clients' samples together, by the law of total variance: the mean of var + mean^2, less the square of the pooled mean.
 * With `statistics` only running statistics change.
 */
export function averageSlices(
  server: Network,
  state: ReadonlyMap<string, Tensor>,
  contributions: readonly Contribution[],
  which: Averaged = "all",
): Map<string, Tensor> {
  const next = new Map(state);
  const sums = new Map<string, { readonly sum: Float64Array; readonly weight: Float64Array }>();
  const specs = placeLayers(server).flatMap(({ layer, parameters }) =>
    parameters
      .filter(({ role }) => which === "all" || role === "state")
      .map(({ name }) => ({
        key: `${layer.name}.${name}`,
        layer: layer.name,
        variance: layer.type === "batchNorm" && name === "running_var",
      })),
  );
  for (const { key } of specs) {
    const size = (state.get(key) as Tensor).data.length;
    sums.set(key, { sum: new Float64Array(size), weight: new Float64Array(size) });
  }
  for (const { slice, parameters, weight } of contributions) {
    const places = placesOf(server, slice);
    for (const { key, layer, variance } of specs) {
      const values = (parameters.get(key) as Tensor).data as Float32Array;
      const means = variance ? ((parameters.get(`${layer}.running_mean`) as Tensor).data as Float32Array) : undefined;
      const at = places.get(key) as Int32Array;
      const total = sums.get(key) as { sum: Float64Array; weight: Float64Array };
      for (let i = 0; i < at.length; i++) {
        const place = at[i] as number;
        if (place < 0) continue;
        const value = (values[i] as number) + (means ? (means[i] as number) ** 2 : 0);
        total.sum[place] = (total.sum[place] as number) + weight * value;
        total.weight[place] = (total.weight[place] as number) + weight;
      }
    }
  }
  for (const { key, layer, variance } of specs) {
    const before = state.get(key) as Tensor;
    const { sum, weight } = sums.get(key) as { sum: Float64Array; weight: Float64Array };
    const means = variance ? (sums.get(`${layer}.running_mean`)?.sum as Float64Array) : undefined;
    const data = Float32Array.from(before.data as Float32Array, (old, i) => {
      const w = weight[i] as number;
      if (w === 0) return old;
      const mean = (sum[i] as number) / w;
      return means ? Math.max(0, mean - ((means[i] as number) / w) ** 2) : mean;
    });
    next.set(key, tensor("float32", before.shape, data));
  }
  return next;
}
