/** Starting weights for a whole fleet from one trained target. */
import type { Network } from "../network/network.ts";
import type { Tensor } from "../util/tensor.ts";
import { filterChooser, type WarmStart } from "./chooseFilters.ts";
import { inheritParameters } from "./inherit.ts";
import type { SubModel } from "./subModel.ts";

/**
 * Starting weights of every sub-model, by device; what `TrainingJob.initial` takes. With `activation`, devices choose one after another, and of
 * filters with equal scores take those that fewest before them took.
 * Throws as `filterChooser` and `inheritParameters`.
 */
export function warmStarts(
  target: Network,
  parameters: ReadonlyMap<string, Tensor>,
  subModels: readonly SubModel[],
  how: WarmStart,
): ReadonlyMap<string, ReadonlyMap<string, Tensor>> {
  const choose = filterChooser(target, how);
  return new Map(subModels.map((subModel) => [subModel.device, inheritParameters(target, parameters, subModel, choose(subModel))]));
}
