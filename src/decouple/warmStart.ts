/** Starting weights for a whole fleet from one trained target. */
import type { Network } from "../network/network.ts";
import type { Tensor } from "../util/tensor.ts";
import { chooseFilters, type FilterChoice, firstFilters } from "./chooseFilters.ts";
import type { ClassActivation } from "./classActivation.ts";
import { inheritParameters } from "./inherit.ts";
import type { SubModel } from "./subModel.ts";

/** How filters are given to devices: by what they fire for, or the first ones to everybody. */
export type WarmStart = { readonly type: "activation"; readonly activation: ClassActivation } | { readonly type: "position" };

/**
 * Starting weights of every sub-model, by device; what `TrainingJob.initial` takes. With `activation`, devices choose one after another, and of
 * filters with equal scores take those that fewest before them took.
 * Throws as `chooseFilters` and `inheritParameters`.
 */
export function warmStarts(
  target: Network,
  parameters: ReadonlyMap<string, Tensor>,
  subModels: readonly SubModel[],
  how: WarmStart,
): ReadonlyMap<string, ReadonlyMap<string, Tensor>> {
  const choices: FilterChoice[] = [];
  for (const subModel of subModels) {
    choices.push(how.type === "activation" ? chooseFilters(target, how.activation, subModel, choices) : firstFilters(target, subModel));
  }
  return new Map(
    subModels.map((subModel, i) => [subModel.device, inheritParameters(target, parameters, subModel, choices[i] as FilterChoice)]),
  );
}
