/**
 * A live fleet that starts from a trained target: what of it is kept in the store when the run is created, and the starting weights of each place, which are
 * made from that when they are first needed. Filters are chosen by what they do on the coordinator's own samples; those of devices stay with the devices.
 */
import type { RunWork, Slot } from "../coordinator/events.ts";
import type { Run, Task } from "../coordinator/state.ts";
import type { ObjectStore } from "../coordinator/store.ts";
import { openSamples } from "../data/samples.node.ts";
import { type FilterChoice, filterChooser } from "../decouple/chooseFilters.ts";
import type { ClassActivation } from "../decouple/classActivation.ts";
import { inheritParameters } from "../decouple/inherit.ts";
import { decouple, type SubModel } from "../decouple/subModel.ts";
import type { RunConfig } from "../run/config.ts";
import { activationSamples } from "../run/prepare.ts";
import type { Target } from "../run/target.ts";
import { activationOf, completedWeights } from "../run/warmStart.ts";
import { SheafError } from "../util/errors.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import { type Tensor, tensor } from "../util/tensor.ts";
import { readObject } from "./branches.ts";
import { type PutObject, store } from "./objects.ts";
import type { KnownSamples } from "./samples.ts";

/** Role of the trained target's weights. */
export const targetRole = "target";
/** Role of the class activations by which filters are chosen. */
export const activationRole = "activation";
/** Name of the sample counts among the class activations' layers; no layer can have it. */
const countsName = "counts of samples";

function encodeActivation({ layers, counts }: ClassActivation): Uint8Array {
  return encodeSafetensors(
    new Map<string, Tensor>([...Object.entries(layers), [countsName, tensor("float64", [counts.length], Float64Array.from(counts))]]),
  );
}

function decodeActivation(bytes: Uint8Array): ClassActivation {
  const tensors = new Map(decodeSafetensors(bytes, "The class activations of a run").tensors);
  const counts = Array.from((tensors.get(countsName)?.data ?? []) as Float64Array);
  tensors.delete(countsName);
  return {
    layers: Object.fromEntries(tensors) as ClassActivation["layers"],
    counts,
    samples: counts.reduce((sum, count) => sum + count, 0),
  };
}

/** Keeps what starting weights are made from; undefined where devices start from scratch. Throws `config` where filters cannot be chosen as configured. */
export async function keepTarget(
  config: RunConfig,
  target: Target,
  { train }: KnownSamples,
  put: PutObject,
): Promise<RunWork["warmStart"]> {
  const how = config.fleet.warmStart;
  if (!target.parameters || how === "none") return undefined;
  const parameters = completedWeights(target, config.seed);
  const kept = { target: await store(targetRole, encodeSafetensors(parameters), put) };
  if (how === "position") return kept;
  if (!train) {
    throw new SheafError(
      "config",
      'fleet.warmStart "activation" runs the target on samples of the coordinator, which has none; set it to "position" or "none", or give `data` and no `serve.samples`.',
    );
  }
  const indices = activationSamples(train.labels, Uint32Array.from(train.labels.keys()));
  using samples = openSamples(train);
  const activation = await activationOf(target.network, parameters, samples, indices);
  return { ...kept, activation: await store(activationRole, encodeActivation(activation), put) };
}

interface Trained {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly choose: ReturnType<typeof filterChooser>;
  /** Filters by slot, chosen one after another in the order of the plan. */
  readonly choices: Map<string, FilterChoice>;
}

const subModelOf = ({ target }: Run["definition"], { slot, taskSet, widths }: Slot): SubModel =>
  decouple(target, [{ device: slot, taskSet, widths }])[0] as SubModel;

/** Makes the starting weights of training tasks; see `TaskObjectsOptions.initialOf`. The same run and slot always give the same bytes. */
export function openStartingWeights(objects: ObjectStore): (run: Run, task: Task) => Promise<Uint8Array | undefined> {
  const known = new Map<string, Promise<Trained>>();
  const load = async ({ definition }: Run, { target, activation }: NonNullable<RunWork["warmStart"]>): Promise<Trained> => ({
    parameters: decodeSafetensors(await readObject(objects, target), "The target's weights").tensors,
    choose: filterChooser(
      definition.target,
      activation ? { type: "activation", activation: decodeActivation(await readObject(objects, activation)) } : { type: "position" },
    ),
    choices: new Map(),
  });
  const trainedOf = (run: Run, warmStart: NonNullable<RunWork["warmStart"]>): Promise<Trained> => {
    const loading = known.get(run.runId) ?? load(run, warmStart);
    // One run at a time begins, and a trained target may be large.
    known.clear();
    known.set(run.runId, loading);
    loading.catch(() => known.delete(run.runId));
    return loading;
  };
  return async (run, { slot }) => {
    const { definition, slotOrder, slots } = run;
    if (!definition.work.warmStart) return undefined;
    const { parameters, choose, choices } = await trainedOf(run, definition.work.warmStart);
    // Places that were added later come behind, so that what was chosen stays.
    while (!choices.has(slot)) {
      const next = slots.get(slotOrder.get(choices.size) as string) as Slot;
      choices.set(next.slot, choose(subModelOf(definition, next)));
    }
    const subModel = subModelOf(definition, slots.get(slot) as Slot);
    return encodeSafetensors(inheritParameters(definition.target, parameters, subModel, choices.get(slot) as FilterChoice));
  };
}
