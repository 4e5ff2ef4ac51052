/** Trains one job in this thread, step by step, on any platform: sessions and checkpoints are handed in. */

import { shrunk } from "../compile/progressive.ts";
import { learningRateAt } from "../compile/schedules.ts";
import { compileTraining, initialState, type TrainingProgram, vectorOutput } from "../compile/training.ts";
import { type OpenSamples, openMemorySamples, type Samples } from "../data/samples.ts";
import type { Network } from "../network/network.ts";
import { placeLayers } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import type { OpenSession } from "../runtime/session.ts";
import { openStepper, type Stepper } from "../runtime/stepper.ts";
import { SheafError } from "../util/errors.ts";
import { random } from "../util/random.ts";
import { sameShape, type Tensor } from "../util/tensor.ts";
import { type Batches, countCorrect, openBatches } from "./batches.ts";
import { type Checkpoint, type CheckpointStore, checkpointError } from "./checkpoint.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { type HardestBatches, openHardest } from "./hardest.ts";
import {
  type CurvePoint,
  candidatesPerStep,
  checkJob,
  logitOffsets,
  smallSteps,
  stepsPerEpoch,
  type TrainingJob,
  type TrainingProgress,
  type TrainingResult,
  totalSteps,
} from "./job.ts";

/** What the platform brings, and how to stop. */
export interface TrainOptions {
  readonly openSession: OpenSession;
  /** Opens the job's data set; only sets in memory by default. */
  readonly openSamples?: OpenSamples;
  /** Where the job's checkpoint is; without it nothing survives a stop. */
  readonly checkpoints?: CheckpointStore;
  /** Stops after the step under way: the checkpoint is written and `interrupted` thrown. */
  readonly signal?: AbortSignal;
}

/** Where a training stands between two steps; what a checkpoint holds beside the state. */
interface Position {
  step: number;
  lossSum: number;
  correct: number;
  curve: CurvePoint[];
  seconds: number;
}

/** A job's first parameters and states. */
function startingState(job: TrainingJob, program: TrainingProgram): Map<string, Tensor> {
  // Devices of one run share a seed, but not their first weights.
  const state = initialState(program, random(job.seed, job.id, "parameters").int32());
  for (const [name, value] of job.initial ?? []) {
    const known = state.get(name);
    if (!known || !sameShape(known.shape, value.shape)) {
      const expected = known ? `[${known.shape.join(", ")}]` : "no such parameter";
      const got = `[${value.shape.join(", ")}]`;
      throw new SheafError(
        "corrupt",
        `Training of ${job.id}: the starting "${name}" has shape ${got}, network "${job.network.name}" has ${expected}.`,
      );
    }
    state.set(name, value);
    if (state.has(`${name}.ema`)) state.set(`${name}.ema`, value);
  }
  return state;
}

/** The parameters and layer states that a trained network is made of, averaged ones where there are any. */
function trainedParameters(job: TrainingJob, state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const names = placeLayers(job.network).flatMap(({ layer, parameters }) => parameters.map((p) => `${layer.name}.${p.name}`));
  return new Map(names.map((name) => [name, (state.get(`${name}.ema`) ?? state.get(name)) as Tensor]));
}

function hasNonFinite({ dtype, data }: Tensor): boolean {
  if (dtype !== "float32" && dtype !== "float64") return false;
  const values = data as Float32Array;
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return true;
  return false;
}

/** The offsets of logit adjustment, if the job asks for it. */
function adjustmentOf({ network, labels, settings, frozen }: TrainingJob): { lossOffset?: readonly number[] } {
  const { logitAdjustment = 0 } = settings;
  if (logitAdjustment === 0 || frozen) return {};
  return { lossOffset: logitOffsets(labels, vectorOutput(network).channels, logitAdjustment) };
}

/** A job's network at one image size, ready to take steps. Its owner closes it. */
interface Stage {
  readonly network: Network;
  readonly stepper: Stepper;
  readonly batches: Batches;
  readonly hardest: HardestBatches | undefined;
  close(): Promise<void>;
}

/** Opens the stage of `network` with a state, or the job's first one. */
async function openStage(
  job: TrainingJob,
  network: Network,
  source: Samples,
  state: ReadonlyMap<string, Tensor> | undefined,
  openSession: OpenSession,
): Promise<Stage> {
  const { batchSize, optimizer, labelSmoothing, emaDecay } = job.settings;
  const joint = job.frozen && { jointLoss: { taskSet: job.frozen.taskSet, classCount: job.frozen.classCount } };
  const adjustment = adjustmentOf(job);
  const program = compileTraining(network, { batchSize, optimizer, labelSmoothing, emaDecay, ...adjustment, ...joint });
  const { provider } = job.settings;
  const session = await openSession(writeOnnx(program.graph), {
    name: `the training step of ${job.id}`,
    ...(provider ? { provider } : {}),
  });
  try {
    const stepper = openStepper(program, session, state ?? startingState(job, program));
    const logits = program.outputs.find((port) => port.role === "logits")?.shape[0] ?? 0;
    const candidates = openBatches(job, source, logits, network.input);
    const isSelective = candidatesPerStep(job) > batchSize;
    const hardest = isSelective ? await openHardest(job, network, candidates, adjustment.lossOffset, openSession) : undefined;
    return {
      network,
      stepper,
      batches: hardest?.batches ?? candidates,
      hardest,
      async close() {
        await hardest?.close();
        await session.dispose();
      },
    };
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

/** A job in training. */
class Run {
  readonly #job: TrainingJob;
  readonly #checkpoints: CheckpointStore | undefined;
  readonly #fingerprint: string;
  readonly #position: Position;
  readonly #perEpoch: number;
  readonly #steps: number;
  /** Exponential mean of the time of one step. */
  #secondsPerStep = 0;
  #savedStep = 0;
  #savedAt: number = performance.now();

  constructor(job: TrainingJob, checkpoints: CheckpointStore | undefined, fingerprint: string, resumed: Checkpoint | undefined) {
    this.#job = job;
    this.#checkpoints = checkpoints;
    this.#fingerprint = fingerprint;
    const { step = 0, lossSum = 0, correct = 0, curve = [], seconds = 0 } = resumed ?? {};
    this.#position = { step, lossSum, correct, curve: [...curve], seconds };
    this.#savedStep = step;
    this.#perEpoch = stepsPerEpoch(job);
    this.#steps = totalSteps(job);
  }

  /** Steps done. */
  get at(): number {
    return this.#position.step;
  }

  get done(): boolean {
    return this.#position.step >= this.#steps;
  }

  #diverged(what: string, learningRate: number): SheafError {
    const { step } = this.#position;
    const epoch = Math.ceil(step / this.#perEpoch);
    return new SheafError(
      "diverged",
      `Training of ${this.#job.id}: ${what} at step ${step} of ${this.#steps} (epoch ${epoch}); lower the learning rate (now ${learningRate}) or clip gradients.`,
    );
  }

  #learningRate(step: number): number {
    return learningRateAt(this.#job.settings.schedule, step, this.#steps);
  }

  /** One step. Throws `diverged`. */
  async step({ stepper, batches, hardest }: Stage): Promise<TrainingProgress> {
    const start = performance.now();
    const position = this.#position;
    const learningRate = this.#learningRate(position.step);
    if (hardest) await hardest.choose(position.step, stepper.values());
    else batches.fill(position.step);
    const { loss, logits } = await stepper.step(batches.image, batches.target, learningRate, batches.frozen);
    position.step++;
    if (!Number.isFinite(loss)) throw this.#diverged(`the loss became ${Number.isNaN(loss) ? "NaN" : "infinite"}`, learningRate);
    position.lossSum += loss;
    position.correct += countCorrect(logits, batches.labels);
    const seconds = (performance.now() - start) / 1000;
    position.seconds += seconds;
    this.#secondsPerStep += (seconds - this.#secondsPerStep) * (this.#secondsPerStep === 0 ? 1 : 0.1);
    return this.#endStep(learningRate);
  }

  #endStep(learningRate: number): TrainingProgress {
    const position = this.#position;
    const { batchSize, epochs } = this.#job.settings;
    const { step } = position;
    const epoch = Math.ceil(step / this.#perEpoch);
    const inEpoch = step - (epoch - 1) * this.#perEpoch;
    const loss = position.lossSum / inEpoch;
    const accuracy = position.correct / (inEpoch * batchSize);
    if (inEpoch === this.#perEpoch) {
      position.curve.push({ epoch, step, loss, accuracy, learningRate });
      position.lossSum = 0;
      position.correct = 0;
    }
    return {
      type: "progress",
      job: this.#job.id,
      epoch,
      epochs,
      step,
      steps: this.#steps,
      loss,
      accuracy,
      learningRate,
      imagesPerSecond: candidatesPerStep(this.#job) / this.#secondsPerStep,
      secondsLeft: (this.#steps - step) * this.#secondsPerStep,
    };
  }

  /** Writes the checkpoint if there is something new. Weights that are not finite are never written: the last good ones stay. */
  async save(state: ReadonlyMap<string, Tensor>): Promise<void> {
    this.#checkFinite(state);
    if (!this.#checkpoints || this.#savedStep === this.#position.step) return;
    await this.#checkpoints.save({ job: this.#job.id, fingerprint: this.#fingerprint, ...this.#position, state });
    this.#savedStep = this.#position.step;
    this.#savedAt = performance.now();
  }

  #checkFinite(state: ReadonlyMap<string, Tensor>): void {
    const bad = [...state].find(([, value]) => hasNonFinite(value));
    if (bad) throw this.#diverged(`"${bad[0]}" became NaN or infinite`, this.#learningRate(Math.max(0, this.#position.step - 1)));
  }

  get saveIsDue(): boolean {
    const everySeconds = this.#job.checkpoint?.everySeconds ?? Number.POSITIVE_INFINITY;
    return this.#checkpoints !== undefined && performance.now() - this.#savedAt >= everySeconds * 1000;
  }

  interrupted(): SheafError {
    const remedy = this.#checkpoints ? "run again with --resume to go on from there" : "no checkpoint is kept";
    return new SheafError(
      "interrupted",
      `Training of ${this.#job.id} stopped after step ${this.#position.step} of ${this.#steps}; ${remedy}.`,
    );
  }

  result(state: ReadonlyMap<string, Tensor>): TrainingResult {
    const { curve, seconds } = this.#position;
    return {
      job: this.#job.id,
      parameters: trainedParameters(this.#job, state),
      curve,
      samplesSeen: this.#steps * candidatesPerStep(this.#job),
      steps: this.#steps,
      seconds,
    };
  }
}

/** The job's checkpoint, if it has one; `corrupt` when it belongs to another job. */
async function loadCheckpoint(job: TrainingJob, fingerprint: string, store: CheckpointStore | undefined): Promise<Checkpoint | undefined> {
  const found = await store?.load();
  if (!found || !store || found.fingerprint === fingerprint) return found;
  const problem =
    found.job === job.id
      ? `it is of a training of "${job.id}" with other settings, data or seed`
      : `it belongs to "${found.job}", not to "${job.id}"`;
  throw checkpointError(store.where, problem);
}

/**
 * Trains a job, going on from its checkpoint if there is one. Yields after every step; returns the trained parameters. The same job gives
 * the same bytes, however often it was stopped on the way; the last checkpoint stays, so that a finished job gives its result at once.
 * Stopping early with `break` frees everything and writes nothing.
 * Throws `config` and `data` for a job that cannot be trained, `diverged` when the loss or a weight is not finite, `interrupted`
 * after the signal, `corrupt` for a checkpoint that is damaged or another job's, `storage` when a checkpoint cannot be written.
 * @example
 * const training = train(job, { openSession });
 * for await (const { step, loss } of training) console.log(step, loss);
 */
export async function* train(job: TrainingJob, options: TrainOptions): AsyncGenerator<TrainingProgress, TrainingResult, void> {
  const { openSession, openSamples = openMemorySamples, checkpoints, signal } = options;
  checkJob(job);
  const fingerprint = await fingerprintOf(job);
  const resumed = await loadCheckpoint(job, fingerprint, checkpoints);
  const run = new Run(job, checkpoints, fingerprint, resumed);
  if (run.done && resumed) return run.result(resumed.state);
  const { progressive } = job.settings;
  const small = progressive ? shrunk(job.network, progressive.scale) : job.network;
  const firstWholeStep = smallSteps(job);
  const source = openSamples(job.dataset);
  let stage: Stage | undefined;
  try {
    while (!run.done) {
      const network = run.at < firstWholeStep ? small : job.network;
      if (stage?.network !== network) {
        // The parameters and states of both sizes are the same; one session at a time is in memory.
        const state: ReadonlyMap<string, Tensor> | undefined = stage?.stepper.state() ?? resumed?.state;
        await stage?.close();
        stage = undefined;
        stage = await openStage(job, network, source, state, openSession);
      }
      if (signal?.aborted) {
        await run.save(stage.stepper.state());
        throw run.interrupted();
      }
      const progress = await run.step(stage);
      if (run.saveIsDue) await run.save(stage.stepper.state());
      yield progress;
    }
    const state = (stage as Stage).stepper.state();
    await run.save(state);
    return run.result(state);
  } finally {
    source.close();
    await stage?.close();
  }
}
