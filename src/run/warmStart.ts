/** Starts the jobs of a run from a trained target: the central control from all of it, sub-models and the slim control from a part of its filters. */
import { compileActivations } from "../compile/activations.ts";
import { initialParameters } from "../compile/initialize.ts";
import type { Samples } from "../data/samples.ts";
import { type ClassActivation, measureActivation } from "../decouple/classActivation.ts";
import { decouple, type SubModel } from "../decouple/subModel.ts";
import { warmStarts } from "../decouple/warmStart.ts";
import type { Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import type { TrainingJob } from "../train/job.ts";
import { sameShape, type Tensor, tensor } from "../util/tensor.ts";
import type { RunConfig } from "./config.ts";
import { controlIds } from "./fleet.ts";
import type { PreparedRun } from "./prepare.ts";
import type { Target } from "./target.ts";

/** Every weight of a target; what a new head lacks is drawn from the seed. */
export function completedWeights({ network, parameters }: Target, seed: number): ReadonlyMap<string, Tensor> {
  return new Map([...initialParameters(network, seed), ...(parameters ?? [])]);
}

/** Runs a trained target on some samples. Throws as `measureActivation`. */
export async function activationOf(
  target: Network,
  parameters: ReadonlyMap<string, Tensor>,
  samples: Samples,
  indices: ArrayLike<number>,
  signal?: AbortSignal,
): Promise<ClassActivation> {
  const model = writeOnnx(compileActivations(target, parameters), { batchAxis: "N" });
  await using session = await openSession(model, { name: "the activation pass" });
  return await measureActivation(session, target, samples, indices, signal ? { signal } : {});
}

const activationSamplesOf = ({ devices }: PreparedRun): readonly number[] => devices.flatMap(({ activation }) => [...activation]);

/** The slim control's place in the target: every class, no "other". */
function slimSubModel({ target, slimWidth }: PreparedRun, classCount: number): SubModel {
  const taskSet = Array.from({ length: classCount }, (_, id) => id);
  return decouple(target, [{ device: controlIds.slim, taskSet, widths: slimWidth }])[0] as SubModel;
}

/** The slim control has no logit "other", which a sub-model's head holds last. */
function withoutOther(job: TrainingJob, parameters: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
  const fitted = placeLayers(job.network).flatMap(({ layer, parameters: specs }) =>
    specs.map(({ name, shape }) => {
      const key = `${layer.name}.${name}`;
      const value = parameters.get(key) as Tensor;
      if (sameShape(value.shape, shape)) return [key, value] as const;
      const size = shape.reduce((product, extent) => product * extent, 1);
      return [key, tensor("float32", shape, (value.data as Float32Array).slice(0, size))] as const;
    }),
  );
  return new Map(fitted);
}

/**
 * The prepared run with starting weights in its jobs; as it is when the target has none.
 * Which filters a device starts from: those that fire most for its classes, measured on some of the devices' own samples, or the first ones.
 */
export async function warmStart(
  prepared: PreparedRun,
  target: Target,
  config: RunConfig,
  train: Samples,
  signal?: AbortSignal,
): Promise<PreparedRun> {
  if (!target.parameters) return prepared;
  const { seed, fleet } = config;
  const parameters = completedWeights(target, seed);
  const activation =
    fleet.warmStart === "activation"
      ? await activationOf(prepared.target, parameters, train, activationSamplesOf(prepared), signal)
      : undefined;
  const subModels = [...prepared.devices.map(({ subModel }) => subModel), slimSubModel(prepared, train.dataset.classNames.length)];
  const starts = warmStarts(prepared.target, parameters, subModels, activation ? { type: "activation", activation } : { type: "position" });
  const startOf = (job: TrainingJob): ReadonlyMap<string, Tensor> | undefined => {
    if (job.id === controlIds.central) return target.parameters;
    const start = fleet.warmStart === "none" ? undefined : starts.get(job.id);
    return start && job.id === controlIds.slim ? withoutOther(job, start) : start;
  };
  const jobs = prepared.jobs.map((job) => {
    const initial = startOf(job);
    return initial ? { ...job, initial } : job;
  });
  return { ...prepared, jobs };
}
