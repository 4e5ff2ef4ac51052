/** The three kinds of work that a device does, on any platform: train a branch, sum statistics, settle. A pure function of the specification, the device's samples and the machine's arithmetic. */
import { classCountsOf, settleSamples } from "../data/background.ts";
import type { Samples } from "../data/samples.ts";
import { branchJob, settleJob } from "../harvest/branchJob.ts";
import { expansionWeights } from "../harvest/expansion.ts";
import { inspectHarvest } from "../harvest/gate.ts";
import { type Harvested, layOut } from "../harvest/harvested.ts";
import { encodeStatistics } from "../harvest/statistics.ts";
import { compileStatistics, computeStatistics, type StatisticsExtras, statisticsMacs } from "../harvest/statisticsPass.ts";
import { networkCost } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { trainingMacs } from "../plan/cost.ts";
import { decodeBranches } from "../protocol/branchList.ts";
import type { Completion, Heartbeat, SampleUse } from "../protocol/messages.ts";
import type { SettleSpec, StatisticsSpec, TaskKind, TaskSpec, TrainSpec } from "../protocol/tasks.ts";
import type { OpenSession } from "../runtime/session.ts";
import type { CheckpointStore } from "../train/checkpoint.ts";
import type { TrainingJob, TrainingResult } from "../train/job.ts";
import { train } from "../train/trainer.ts";
import { SheafError } from "../util/errors.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import { type SampleTools, selectSamples, summedSamples, withoutHeldOut } from "./selection.ts";

/** Keeps the latest checkpoint of one task. */
export interface TaskCheckpoints extends CheckpointStore {
  /** Deletes it; nothing happens where there is none. */
  clear(): Promise<void>;
}

/** What a task needs of the device. */
export interface TaskTools extends SampleTools {
  readonly openSession: OpenSession;
  readonly checkpoints?: TaskCheckpoints;
  readonly checkpointSeconds: number;
  /** Leaves class counts out of what is handed in. */
  readonly privateCounts: boolean;
  /** Awaited between two steps, with the time of the last: rests where the processor is not ours alone. */
  readonly pace: (busyMs: number) => Promise<void>;
  readonly onProgress: (progress: Heartbeat) => void;
  /** Told what went wrong and did not stop the work: a sentence. */
  readonly onProblem: (message: string) => void;
  readonly signal: AbortSignal;
}

/** What a task makes: outputs by role, and what they took. */
export interface TaskResult {
  readonly outputs: readonly { readonly role: string; readonly bytes: Uint8Array<ArrayBuffer> }[];
  readonly measured: Completion["measured"];
  readonly use?: SampleUse;
}

/** Work that does not fit on the disk goes on without checkpoints; the job itself needs none. */
function forgiving(checkpoints: TaskCheckpoints, onProblem: (message: string) => void): CheckpointStore {
  return {
    where: checkpoints.where,
    load: () => checkpoints.load(),
    async save(checkpoint) {
      try {
        await checkpoints.save(checkpoint);
      } catch (error) {
        if (!(error instanceof SheafError && error.code === "storage")) throw error;
        onProblem(`No checkpoint was written: ${error.message}`);
      }
    },
  };
}

async function trainOnce(job: TrainingJob, selectionOf: TaskTools["openSamples"], tools: TaskTools): Promise<TrainingResult> {
  const { openSession, checkpoints, signal, pace, onProgress, onProblem } = tools;
  const training = train(job, {
    openSession,
    openSamples: selectionOf,
    signal,
    ...(checkpoints ? { checkpoints: forgiving(checkpoints, onProblem) } : {}),
  });
  try {
    for (;;) {
      const started = performance.now();
      const { done, value } = await training.next();
      if (done) return value;
      const { step, steps, epoch, loss, accuracy } = value;
      onProgress({ phase: "training", progress: step / steps, epoch, step, loss, accuracy });
      // A rest that is cut short by an abort is not the end: the next turn writes the checkpoint first.
      if (step < steps) await pace(performance.now() - started).catch(() => undefined);
    }
  } finally {
    await training.return(undefined as never);
  }
}

/** Trains a job, going on from its checkpoint; one that is damaged, or of other data than the device has now, is deleted and the work begun again. */
async function trainJob(job: TrainingJob, openSamples: TaskTools["openSamples"], tools: TaskTools): Promise<TrainingResult> {
  const { checkpoints } = tools;
  const kept = checkpoints ? { ...job, checkpoint: { path: checkpoints.where, everySeconds: tools.checkpointSeconds } } : job;
  try {
    return await trainOnce(kept, openSamples, tools);
  } catch (error) {
    if (!checkpoints || !(error instanceof SheafError && error.code === "corrupt")) throw error;
    tools.onProblem(`${error.message} Training begins again.`);
    await checkpoints.clear();
    return await trainOnce(kept, openSamples, tools);
  }
}

/** Multiply-adds of a finished training. */
function macsOf({ network, settings }: TrainingJob, { samplesSeen }: TrainingResult): number {
  return (trainingMacs(network, settings) * samplesSeen) / settings.epochs;
}

async function runTrain(spec: TrainSpec, tools: TaskTools): Promise<TaskResult> {
  const { taskId, taskSet, network, settings, seed, classNames, initial } = spec;
  const selection = await selectSamples(spec, tools);
  const samples = withoutHeldOut(selection);
  const { dataset, openSamples } = selection;
  const job = {
    ...branchJob({ device: taskId, taskSet, network }, dataset, samples, settings, seed),
    ...(initial === undefined ? {} : { initial: decodeSafetensors(await tools.fetchObject(initial), "The starting weights").tensors }),
  };
  const result = await trainJob(job, openSamples, tools);
  const { own, background, made } = samples;
  return {
    outputs: [{ role: "parameters", bytes: encodeSafetensors(result.parameters) }],
    measured: { seconds: result.seconds, macs: macsOf(job, result), samples: job.samples.length },
    use: {
      ownSamples: own.length,
      backgroundSamples: background.length + made.length,
      ...(made.length > 0 ? { madeSamples: made.length } : {}),
      ...(tools.privateCounts ? {} : { classCounts: classCountsOf(dataset.labels, classNames.length, own, background) }),
    },
  };
}

/** Fetches all branches of a list, each through the gate: what a coordinator sends is not trusted either. */
async function fetchBranches(list: string, tools: TaskTools): Promise<readonly Harvested[]> {
  const branches = decodeBranches(await tools.fetchObject(list), "The list of branches");
  const harvested: Harvested[] = [];
  for (const [i, branch] of branches.entries()) {
    tools.onProgress({ phase: "fetching", progress: 0 });
    const { device, taskSet, network, parameters, parameterBytes, ...rest } = branch;
    const { tensors } = decodeSafetensors(await tools.fetchObject(parameters, parameterBytes), `Branch ${i} (${device})`);
    // Widths and filter places say where a branch came from; nothing that runs it reads them.
    const subModel = { device, taskSet, network, widths: 1, filters: {} };
    harvested.push({ ...rest, subModel, parameters: inspectHarvest(subModel, tensors) });
  }
  return harvested;
}

const forwardMacs = (harvested: readonly Harvested[]): number =>
  harvested.reduce((sum, { subModel }) => sum + networkCost(subModel.network).macs, 0);

/** Opened on `use`, closed after it. */
async function withSamples<T>(samples: Samples, use: (samples: Samples) => Promise<T>): Promise<T> {
  try {
    return await use(samples);
  } finally {
    samples.close();
  }
}

async function runStatistics(spec: StatisticsSpec, tools: TaskTools): Promise<TaskResult> {
  const started = performance.now();
  const { classNames, seed, scores, expansion, heldOutShare = 0 } = spec;
  const selection = await selectSamples(spec, tools);
  const parts = summedSamples(spec, selection);
  const harvested = await fetchBranches(spec.branches, tools);
  const { features } = layOut(harvested.map(({ subModel }) => subModel));
  const extras: StatisticsExtras = { scores, ...(expansion > 0 ? { expansion: expansionWeights(seed, expansion, features) } : {}) };
  const program = compileStatistics(harvested, classNames.length, undefined, extras);
  const total = parts.statistics.length + parts.heldOut.length;
  const roles = heldOutShare > 0 ? (["statistics", "heldOut"] as const) : (["statistics"] as const);
  const outputs: TaskResult["outputs"][number][] = [];
  const session = await tools.openSession(writeOnnx(program.graph), { name: "the statistics pass" });
  try {
    await withSamples(selection.openSamples(selection.dataset), async (samples) => {
      let before = 0;
      for (const role of roles) {
        const onProgress = (done: number): void => tools.onProgress({ phase: "statistics", progress: (before + done) / total });
        const sums = await computeStatistics(session, program, samples, parts[role], { signal: tools.signal, onProgress });
        before += parts[role].length;
        outputs.push({ role, bytes: encodeStatistics(sums) });
      }
    });
  } finally {
    await session.dispose();
  }
  const macs = total * (forwardMacs(harvested) + statisticsMacs(program.widths, classNames.length));
  return { outputs, measured: { seconds: (performance.now() - started) / 1000, macs, samples: total } };
}

async function runSettle(spec: SettleSpec, tools: TaskTools): Promise<TaskResult> {
  const { taskId, device, pass, seed, settings, backgroundShare } = spec;
  const selection = await selectSamples(spec, tools);
  const { own, background } = withoutHeldOut(selection);
  const { dataset, openSamples } = selection;
  const harvested = await fetchBranches(spec.branches, tools);
  const samples = settleSamples(dataset, own, background, backgroundShare, seed, device, pass);
  tools.onProgress({ phase: "preparing", progress: 0 });
  const job = await withSamples(openSamples(dataset), (opened) =>
    settleJob({ id: taskId, device, harvested, samples, settings, seed }, opened, tools.openSession, tools.signal),
  );
  const result = await trainJob(job, openSamples, tools);
  const others = harvested.filter(({ subModel }) => subModel.device !== device);
  return {
    outputs: [{ role: "parameters", bytes: encodeSafetensors(result.parameters) }],
    measured: { seconds: result.seconds, macs: macsOf(job, result) + samples.length * forwardMacs(others), samples: samples.length },
  };
}

const tasks: { readonly [K in TaskKind]: (spec: Extract<TaskSpec, { readonly kind: K }>, tools: TaskTools) => Promise<TaskResult> } = {
  train: runTrain,
  statistics: runStatistics,
  settle: runSettle,
};

/**
 * Does a task. The same specification on the same samples gives the same bytes, however often it was stopped and taken up from its checkpoint.
 * Throws `data` where the device lacks samples of the task set, `diverged`, `corrupt` for objects that are not what they should be, `interrupted` after the
 * signal (the checkpoint is written first), and what `train` throws for settings and networks that do not go together.
 */
export function runTask<K extends TaskKind>(spec: Extract<TaskSpec, { readonly kind: K }>, tools: TaskTools): Promise<TaskResult> {
  const run: (spec: Extract<TaskSpec, { readonly kind: K }>, tools: TaskTools) => Promise<TaskResult> = tasks[spec.kind as K];
  return run(spec, tools);
}
