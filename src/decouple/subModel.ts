/** Cuts a target network into narrow sub-models, one per device, and records where each one's filters lie in the global model. */
import { narrow, type WidthFactors, widthGroups } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { outputShape } from "../network/shapes.ts";
import { SheafError } from "../util/errors.ts";

/** What one device is to train: the classes it answers for and how wide its copy of the target is. */
export interface Part {
  readonly device: string;
  /** Class ids, in any order, each once. */
  readonly taskSet: readonly number[];
  readonly widths: WidthFactors;
}

/** A device's part of the target: a place in the global model, not a copy of it. */
export interface SubModel {
  readonly device: string;
  /** Class ids, ascending. */
  readonly taskSet: readonly number[];
  readonly widths: WidthFactors;
  /** The target made narrower, with a head of `taskSet.length + 1` logits; the last one is "other". */
  readonly network: Network;
  /** `[start, end)` of each free-width layer's filters in the global model, where the branches lie side by side in the order of the parts. */
  readonly filters: Readonly<Record<string, readonly [start: number, end: number]>>;
}

/**
 * Sub-models of `target`, in the order of `parts`. A sub-model whose task set holds every class keeps the logit "other", so that all heads have one form.
 * Throws `config` when there is no part, a device comes twice, a task set is empty or names a class twice or one that the target does not have,
 * or a width is not positive.
 * @example decouple(vgg("vgg11", input, 10), [{ device: "a", taskSet: [0, 1], widths: 0.28 }, { device: "b", taskSet: [2, 3], widths: 0.5 }])
 */
export function decouple(target: Network, parts: readonly Part[]): readonly SubModel[] {
  const classCount = outputShape(target).channels;
  checkParts(target.name, classCount, parts);
  const freeLayers = [...widthGroups(target).values()].flat();
  const taken = new Map<string, number>();
  const narrowed = narrower(target);
  return parts.map(({ device, taskSet, widths }) => {
    const network = narrowed(widths, taskSet.length + 1);
    const own = new Map(network.layers.map((layer) => [layer.name, filterCount(layer)]));
    const filters = Object.fromEntries(
      freeLayers.map((name) => {
        const start = taken.get(name) ?? 0;
        const end = start + (own.get(name) ?? 0);
        taken.set(name, end);
        return [name, [start, end] as const];
      }),
    );
    return { device, taskSet: [...taskSet].sort((a, b) => a - b), widths, network, filters };
  });
}

/** Narrow copies of a target, each made once: many devices of a large fleet train the same one. */
function narrower(target: Network): (widths: WidthFactors, logits: number) => Network {
  const known = new Map<WidthFactors, Map<number, Network>>();
  return (widths, logits) => {
    const ofWidths = known.get(widths) ?? new Map<number, Network>();
    known.set(widths, ofWidths);
    const network = ofWidths.get(logits) ?? narrow(target, widths, logits);
    ofWidths.set(logits, network);
    return network;
  };
}

/** Local label of a class: its place in the (ascending) task set, or `taskSet.length`, "other". */
export function localLabel(taskSet: readonly number[], classId: number): number {
  const place = taskSet.indexOf(classId);
  return place < 0 ? taskSet.length : place;
}

const filterCount = (layer: Network["layers"][number]): number =>
  layer.type === "conv2d" ? layer.outChannels : layer.type === "linear" ? layer.outFeatures : 0;

function checkParts(target: string, classCount: number, parts: readonly Part[]): void {
  if (parts.length === 0) throw new SheafError("config", `Nothing to cut from "${target}": give at least one device with a task set.`);
  const devices = new Set<string>();
  for (const { device, taskSet } of parts) {
    if (devices.has(device)) throw new SheafError("config", `Device "${device}" is listed twice; give every device a name of its own.`);
    devices.add(device);
    if (taskSet.length === 0)
      throw new SheafError("config", `Device "${device}" has an empty task set; give it at least one class or leave it out.`);
    const unknown = taskSet.find((id) => !Number.isInteger(id) || id < 0 || id >= classCount);
    if (unknown !== undefined) {
      throw new SheafError("config", `Device "${device}" wants class ${unknown}, but "${target}" has the classes 0 to ${classCount - 1}.`);
    }
    if (new Set(taskSet).size < taskSet.length) {
      throw new SheafError("config", `Device "${device}" lists a class twice (${taskSet.join(", ")}); list each once.`);
    }
  }
}
