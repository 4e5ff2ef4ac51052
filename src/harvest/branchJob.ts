/** The jobs that train a branch: alone, and in a settle pass against the frozen scores of the others. What a run and a fleet's device have in common. */
import type { Dataset } from "../data/dataset.ts";
import { withMadeNegatives } from "../data/made.ts";
import type { Samples } from "../data/samples.ts";
import { localLabel, type SubModel } from "../decouple/subModel.ts";
import { writeOnnx } from "../onnx/write.ts";
import type { OpenSession } from "../runtime/session.ts";
import type { TrainingJob, TrainingSettings } from "../train/job.ts";
import { SheafError } from "../util/errors.ts";
import { computeFrozenScores, frozenGraph, scoresAlone } from "./frozenScores.ts";
import type { Harvested } from "./harvested.ts";

/** What a branch is trained on: indices into its data set. */
export interface BranchSamples {
  /** Samples of its own classes. */
  readonly own: Uint32Array;
  /** Samples of other classes, which it learns as "other". */
  readonly background: Uint32Array;
  /** Own samples that a negative is made of, one for each entry. */
  readonly made: Uint32Array;
}

type BranchPart = Pick<SubModel, "device" | "taskSet" | "network">;

/** The job of a branch alone: its samples with labels of its own, "other" last. */
export function branchJob(
  { device, taskSet, network }: BranchPart,
  train: Dataset,
  { own, background, made }: BranchSamples,
  settings: TrainingSettings,
  seed: number,
): TrainingJob {
  const count = train.labels.length;
  const dataset = made.length > 0 ? withMadeNegatives(train, made, seed) : train;
  const samples = new Uint32Array([...own, ...background, ...made.map((_, i) => count + i)]);
  // What was made of a sample is "other", whatever its source is.
  const labels = Uint16Array.from(samples, (i) => (i < count ? localLabel(taskSet, train.labels[i] ?? 0) : taskSet.length));
  return { id: device, network, dataset, samples, labels, settings, seed };
}

/** What a settle pass of one branch is. */
export interface SettleWork {
  /** Unique in the run; see `settleJobId` in `run/`. */
  readonly id: string;
  /** The branch that is trained; one of `harvested`. */
  readonly device: string;
  /** All branches as they now are. */
  readonly harvested: readonly Harvested[];
  /** Indices into the data set. */
  readonly samples: Uint32Array;
  readonly settings: TrainingSettings;
  readonly seed: number;
}

/** A branch's job in a settle pass: from its present weights, against the scores of the others as they now are. Throws `config` for a branch that is not there. */
export async function settleJob(
  { id, device, harvested, samples, settings, seed }: SettleWork,
  train: Samples,
  openSession: OpenSession,
  signal?: AbortSignal,
): Promise<TrainingJob> {
  const own = harvested.find(({ subModel }) => subModel.device === device);
  if (!own) throw new SheafError("config", `${device} cannot settle, as its branch is not among the ${harvested.length} harvested ones.`);
  const { labels, classNames } = train.dataset;
  const classCount = classNames.length;
  const { network, taskSet } = own.subModel;
  return {
    id,
    network,
    dataset: train.dataset,
    samples,
    labels: Uint16Array.from(samples, (i) => labels[i] as number),
    settings,
    seed,
    initial: own.parameters,
    frozen: { taskSet, classCount, scores: await frozenScoresOf(harvested, device, train, samples, openSession, signal) },
  };
}

/** The frozen scores of a device's samples: all other branches as they now are. */
async function frozenScoresOf(
  harvested: readonly Harvested[],
  device: string,
  train: Samples,
  samples: Uint32Array,
  openSession: OpenSession,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const classCount = train.dataset.classNames.length;
  const graph = frozenGraph(harvested, device, classCount);
  if (!graph) return scoresAlone(harvested, classCount, samples.length);
  const session = await openSession(writeOnnx(graph, { batchAxis: "N" }), { name: `the branches that ${device} settles against` });
  try {
    return await computeFrozenScores(session, classCount, train, samples, signal ? { signal } : {});
  } finally {
    await session.dispose();
  }
}
