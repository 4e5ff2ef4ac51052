/** Which filters of a trained target a device starts from. */
import { widthGroups } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";
import type { ClassActivation } from "./classActivation.ts";
import type { SubModel } from "./subModel.ts";

/** The target's filters that become a sub-model's own, ascending, by layer of free width; layers that share a width share the choice. */
export type FilterChoice = Readonly<Record<string, Uint32Array>>;

/** How filters are given to devices: by what they fire for, or the first ones to everybody. */
export type WarmStart = { readonly type: "activation"; readonly activation: ClassActivation } | { readonly type: "position" };

/** What firing at all counts beside telling labels apart: of 0, 1/4, 1/2 and 1, what started sub-models of VGG-11 and AlexNet best on the whole. */
const firingWeight = 0.5;
/** Scores that differ by less than this share of the layer's mean activation count as equal. */
const resolution = 0.02;

/**
 * Chooses filters for one sub-model after another. By position: the first of each layer. By activation: of each layer those with the highest scores, as many
 * as the sub-model is wide there. The score of filter f is
 *
 *     sqrt( sum over labels y of share(y) (a_y(f) - a(f))^2 ) + a(f) / 2,      divided by the layer's mean activation,
 *
 * with the labels of the device (each own class, and "other" for all the rest), share(y) the share of classes behind a label, a_y(f) the filter's mean
 * activation over those classes and a(f) over all. The first term is how far its firing differs between what the device has to tell apart: a filter that
 * fires for one own class, or for none of them, says more than one that fires for all of them alike. The second keeps filters that fire for
 * everything, on which later layers build. Layers that share a width add up their scores. Classes without samples count for nothing.
 *
 * Of filters with equal scores (to a fiftieth of the layer's mean activation) those come first that fewest sub-models before have taken, so that
 * a fleet covers the target; then the earlier filter.
 * The answer throws `config` when the sub-model is wider than the target anywhere, or the activation is not of this target.
 * @example const choose = filterChooser(target, { type: "activation", activation }); const choices = subModels.map(choose);
 */
export function filterChooser(target: Network, how: WarmStart): (subModel: SubModel) => FilterChoice {
  if (how.type === "position")
    return (subModel) => choose(target, subModel, (_, filters) => Uint32Array.from({ length: filters }, (_, f) => f));
  /** How many have taken each filter, by layer. */
  const takers = new Map<string, Float64Array>();
  const takersOf = (layer: string, filters: number): Float64Array => {
    const known = takers.get(layer) ?? new Float64Array(filters);
    takers.set(layer, known);
    return known;
  };
  return (subModel) => {
    const choice = choose(target, subModel, (members, filters) => {
      const scores = new Float64Array(filters);
      for (const layer of members)
        for (const [f, score] of scoresOf(target, layer, filters, how.activation, subModel.taskSet).entries()) scores[f]! += score;
      const taken = takersOf(members[0] ?? "", filters);
      const rank = scores.map((score) => Math.round(score / (members.length * resolution)));
      return Uint32Array.from(scores.keys()).sort((a, b) => rank[b]! - rank[a]! || taken[a]! - taken[b]! || a - b);
    });
    for (const [layer, taken] of takers) for (const f of choice[layer] ?? []) taken[f]!++;
    return choice;
  };
}

/** Scores of one layer's filters. */
function scoresOf(
  target: Network,
  layer: string,
  filters: number,
  { layers, counts }: ClassActivation,
  taskSet: readonly number[],
): Float64Array {
  const activity = layers[layer];
  if (activity?.shape[1] !== filters || activity.shape[0] !== counts.length) {
    throw new SheafError(
      "config",
      `Layer "${layer}" of target "${target.name}" has ${filters} filters, the class activation ${activity?.shape[1] ?? "none"}; measure it on this very target.`,
    );
  }
  const present = [...counts.keys()].filter((c) => counts[c]! > 0);
  const others = present.filter((c) => !taskSet.includes(c));
  const labels = [...present.filter((c) => taskSet.includes(c)).map((c) => [c]), ...(others.length > 0 ? [others] : [])];
  const mean = (f: number, classes: readonly number[]): number =>
    classes.reduce((sum, c) => sum + activity.data[c * filters + f]!, 0) / Math.max(1, classes.length);
  const overall = Float64Array.from({ length: filters }, (_, f) => mean(f, present));
  const unit = overall.reduce((sum, value) => sum + value, 0) / filters || 1;
  return overall.map((all, f) => {
    const spread = labels.reduce((sum, classes) => sum + (classes.length / present.length) * (mean(f, classes) - all) ** 2, 0);
    return (Math.sqrt(spread) + firingWeight * all) / unit;
  });
}

/** The first `k` in an order, ascending, for each group of layers that share a width. */
function choose(target: Network, subModel: SubModel, order: (members: readonly string[], filters: number) => Uint32Array): FilterChoice {
  const widthsOf = (network: Network): Map<string, number> =>
    new Map(placeLayers(network).map(({ layer, output }) => [layer.name, output.channels]));
  const [wide, own] = [widthsOf(target), widthsOf(subModel.network)];
  const chosen: Record<string, Uint32Array> = {};
  for (const members of widthGroups(target).values()) {
    const first = members[0] ?? "";
    const [filters = 0, count = 0] = [wide.get(first), own.get(first)];
    if (count > filters) {
      throw new SheafError(
        "config",
        `Layer "${first}" of the sub-model of "${subModel.device}" has ${count} filters, the target's has ${filters}; only a sub-model that is nowhere wider can start from the target: lower its width.`,
      );
    }
    const choice = order(members, filters).slice(0, count).sort();
    for (const layer of members) chosen[layer] = choice;
  }
  return chosen;
}
