/** What is to be trained, and what comes out of it: plain data that crosses to worker threads. */
import type { OptimizerConfig } from "../compile/optimizers.ts";
import { checkProgressive, type Progressive, shrunk, smallEpochs } from "../compile/progressive.ts";
import { checkSchedule, type ScheduleConfig } from "../compile/schedules.ts";
import { type Augmentation, checkAugmentation } from "../data/augment.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import type { Provider } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import type { Tensor } from "../util/tensor.ts";

/** How a network is trained. */
export interface TrainingSettings {
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: OptimizerConfig;
  readonly schedule: ScheduleConfig;
  /** Mass spread evenly over all classes; 0 for none. */
  readonly labelSmoothing: number;
  /** Decay of the average of the weights that the result holds; 0 for none, then the result holds the last weights. */
  readonly emaDecay: number;
  readonly augmentation: Augmentation;
  /** Tau of logit adjustment: 1 trains as if all labels were equally frequent, 0 (default) as frequent as they are. Not with `frozen`. */
  readonly logitAdjustment?: number;
  /**
   * Share of the samples that are trained on: each step runs `batchSize / hardShare` candidates forward and goes on with those of the highest loss. 1 (default)
   * for all, without that forward pass. Not with `frozen`.
   */
  readonly hardShare?: number;
  /** What computes; the platform's default when left out. */
  readonly provider?: Provider;
  /** Smaller images in the first epochs; whole ones throughout by default. Not for audio and not with `frozen`. */
  readonly progressive?: Progressive;
}

/** Samples that a step looks at: a batch, or with a `hardShare` the candidates for it. */
export function candidatesPerStep({ settings }: Pick<TrainingJob, "settings">): number {
  const { batchSize, hardShare = 1 } = settings;
  return Math.max(batchSize, Math.round(batchSize / hardShare));
}

/** Log of each label's share of a job's samples, by Laplace's rule of succession, times `tau`: what the loss adds to the logits. */
export function logitOffsets(labels: ArrayLike<number>, logits: number, tau: number): number[] {
  const counts = Array.from({ length: logits }, () => 0);
  for (let i = 0; i < labels.length; i++) counts[labels[i] as number] = (counts[labels[i] as number] ?? 0) + 1;
  return counts.map((count) => tau * Math.log((count + 1) / (labels.length + logits)));
}

/** What settling trains against: the other branches' scores of a job's samples, which stay as they are. */
export interface FrozenScores {
  /** Classes that the job's network owns, ascending; its last logit is "other". */
  readonly taskSet: readonly number[];
  readonly classCount: number;
  /** [samples, classCount] in the order of the job's samples: the summed log-probabilities of all other branches. */
  readonly scores: Float32Array;
}

/** One network, its samples and its settings. Everything random in it comes from `seed` and `id`. */
export interface TrainingJob {
  /** Unique in a run; names the job in messages. */
  readonly id: string;
  readonly network: Network;
  /** Samples and labels on shared memory go to worker threads without being copied. */
  readonly dataset: Dataset;
  /** Places in `dataset` of the samples to train on. */
  readonly samples: Uint32Array;
  /** Label of each of `samples`, as a number of the network's logits; with `frozen`, as a class id. */
  readonly labels: Uint16Array;
  readonly settings: TrainingSettings;
  readonly seed: number;
  /** File for checkpoints, written at least this often. */
  readonly checkpoint?: { readonly path: string; readonly everySeconds: number };
  /** Parameters to start from, by name; what is not named is drawn from the seed. */
  readonly initial?: ReadonlyMap<string, Tensor>;
  /** Train with the joint softmax over all classes, in which these scores are constants. */
  readonly frozen?: FrozenScores;
}

/** How far a job has come; after every step. */
export interface TrainingProgress {
  readonly type: "progress";
  readonly job: string;
  /** The epoch under way, from 1. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps done. */
  readonly step: number;
  readonly steps: number;
  /** Mean loss of this epoch so far. */
  readonly loss: number;
  /** Share of this epoch's samples so far that were classified rightly, as augmented and before each update. */
  readonly accuracy: number;
  /** Of the step just done. */
  readonly learningRate: number;
  readonly imagesPerSecond: number;
  readonly secondsLeft: number;
}

/** One epoch of a learning curve: means over the epoch, and the learning rate of its last step. */
export interface CurvePoint {
  readonly epoch: number;
  /** Steps done at its end. */
  readonly step: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly learningRate: number;
}

/** A trained network. All but `seconds` is the same whenever the job is the same. */
export interface TrainingResult {
  readonly job: string;
  /** Parameters and layer states (running statistics) by name; averaged weights where the settings ask for them. */
  readonly parameters: Map<string, Tensor>;
  readonly curve: readonly CurvePoint[];
  readonly samplesSeen: number;
  readonly steps: number;
  /** Time spent training, over all its sittings. */
  readonly seconds: number;
}

/** Steps of one epoch: full batches only, at least one. */
export function stepsPerEpoch(job: Pick<TrainingJob, "samples" | "settings">): number {
  return Math.max(1, Math.floor(job.samples.length / candidatesPerStep(job)));
}

/** Steps of the whole job. */
export function totalSteps(job: Pick<TrainingJob, "samples" | "settings">): number {
  return job.settings.epochs * stepsPerEpoch(job);
}

/** Steps on smaller images, which come first. */
export function smallSteps(job: Pick<TrainingJob, "samples" | "settings">): number {
  return smallEpochs(job.settings.progressive, job.settings.epochs) * stepsPerEpoch(job);
}

function checkSettings(settings: TrainingSettings, where: string): void {
  const { epochs, batchSize, labelSmoothing, emaDecay, schedule, logitAdjustment = 0, hardShare = 1 } = settings;
  for (const [name, value] of Object.entries({ epochs, batchSize })) {
    if (!Number.isInteger(value) || value < 1)
      throw new SheafError("config", `${where}: ${name} must be a whole number of at least 1, got ${value}.`);
  }
  for (const [name, value] of Object.entries({ labelSmoothing, emaDecay })) {
    if (!(value >= 0 && value < 1)) throw new SheafError("config", `${where}: ${name} must be at least 0 and less than 1, got ${value}.`);
  }
  if (!(logitAdjustment >= 0 && logitAdjustment <= 10))
    throw new SheafError("config", `${where}: logitAdjustment must lie between 0 and 10, got ${logitAdjustment}.`);
  if (!(hardShare > 0 && hardShare <= 1))
    throw new SheafError("config", `${where}: hardShare must be more than 0 and at most 1, got ${hardShare}.`);
  if (settings.progressive) checkProgressive(settings.progressive);
  checkSchedule(schedule);
}

/**
 * Throws `config` for settings out of range, and `data` when the job has no samples, a label is not a logit of the network, or the
 * data's images do not fit the network. Single samples are checked when they are read.
 */
export function checkJob({ id, network, dataset, samples, labels, settings, frozen }: TrainingJob): void {
  const where = `Training of ${id}`;
  checkSettings(settings, where);
  checkAugmentation(settings.augmentation, dataset);
  if (samples.length === 0) throw new SheafError("data", `${where}: there are no samples to train on; give it classes that the data has.`);
  if (samples.length !== labels.length) {
    throw new SheafError("internal", `${where}: ${samples.length} samples need as many labels, got ${labels.length}.`);
  }
  if (frozen && frozen.scores.length !== samples.length * frozen.classCount) {
    throw new SheafError(
      "internal",
      `${where}: ${samples.length} samples of ${frozen.classCount} classes need as many frozen scores, got ${frozen.scores.length} numbers.`,
    );
  }
  if (frozen && (settings.hardShare ?? 1) < 1) {
    throw new SheafError(
      "config",
      `${where}: a hardShare of ${settings.hardShare} and frozen scores do not go together; a settle pass trains on all samples, so leave hardShare out of it.`,
    );
  }
  if (settings.progressive) {
    const reason = dataset.audio ? "clips have one length" : frozen ? "frozen scores are those of whole images" : undefined;
    if (reason) throw new SheafError("config", `${where}: progressive image size is not possible, as ${reason}; leave it out.`);
    shrunk(network, settings.progressive.scale);
  }
  const logits = frozen?.classCount ?? placeLayers(network).at(-1)?.output.channels ?? 0;
  const wrong = labels.find((label) => label >= logits);
  if (wrong !== undefined)
    throw new SheafError("data", `${where}: a sample has label ${wrong}, but network "${network.name}" has ${logits} logits.`);
  const text = (s: { channels: number; height: number; width: number }): string => `${s.channels}x${s.height}x${s.width}`;
  if (text(network.input) !== text(dataset.shape)) {
    throw new SheafError(
      "data",
      `${where}: network "${network.name}" takes ${text(network.input)} inputs, but ${dataset.name} has ${text(dataset.shape)}.`,
    );
  }
}
