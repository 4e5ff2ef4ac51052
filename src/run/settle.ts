/** Settling: further passes in which each device trains its branch against the frozen scores of the latest others. */
import { settleSamples } from "../data/background.ts";
import type { Samples } from "../data/samples.ts";
import { settleJob } from "../harvest/branchJob.ts";
import { inspectHarvest } from "../harvest/gate.ts";
import type { Harvested } from "../harvest/harvested.ts";
import { openSession } from "../runtime/session.node.ts";
import type { TrainingJob } from "../train/job.ts";
import type { RunConfig } from "./config.ts";
import type { RunDirectory } from "./directory.ts";
import type { RunOptions } from "./options.ts";
import type { PreparedDevice, PreparedRun } from "./prepare.ts";
import { settleJobId, settleOrder, settlePassesOf, settleShare } from "./settlePlan.ts";
import { trainingSettings } from "./trainingSettings.ts";
import { type FinishedJob, throwIfInterrupted, trainJobs } from "./trainJobs.ts";

/** Accuracies of the global model after a pass; pass 0 is before the first. */
export interface SettlePass {
  readonly pass: number;
  readonly H0: number;
  readonly H2: number;
  /** Devices that took no part in it. */
  readonly skipped: readonly string[];
}

/** Where settling has come to: the branches after the last pass, and what it took. */
export interface Settled {
  readonly harvested: readonly Harvested[];
  /** Trainings of all passes, by job id. */
  readonly results: ReadonlyMap<string, FinishedJob>;
  /** After each pass but the last, whose accuracies are the run's own. Empty without settling. */
  readonly passes: readonly SettlePass[];
}

/** A device's job in a pass: from its present weights, against the others as they now are. */
function jobInPass(
  config: RunConfig,
  { subModel: { device }, own, background }: PreparedDevice,
  harvested: readonly Harvested[],
  train: Samples,
  pass: number,
  signal: AbortSignal | undefined,
): Promise<TrainingJob> {
  // A pass is short, and the frozen scores are those of whole images.
  const { progressive: _, ...settings } = trainingSettings(config, "narrow");
  const learningRate = config.settle.learningRate ?? settings.schedule.learningRate / 10;
  const work = {
    id: settleJobId(device, pass),
    device,
    harvested,
    samples: settleSamples(train.dataset, own, background, settleShare(config), config.seed, device, pass),
    settings: { ...settings, epochs: config.settle.epochs, schedule: { ...settings.schedule, learningRate } },
    seed: config.seed,
  };
  return settleJob(work, train, openSession, signal);
}

/** Puts what came back in the place of what was there, through the gate. */
function replaced(harvested: readonly Harvested[], pass: number, results: ReadonlyMap<string, FinishedJob>): readonly Harvested[] {
  return harvested.map((h) => {
    const result = results.get(settleJobId(h.subModel.device, pass));
    return result ? { ...h, parameters: inspectHarvest(h.subModel, result.parameters) } : h;
  });
}

/** Trains those of a pass that are given, side by side; what has finished before is not trained again, and its scores are not looked at. */
async function settleTogether(
  config: RunConfig,
  devices: readonly PreparedDevice[],
  harvested: readonly Harvested[],
  train: Samples,
  pass: number,
  directory: RunDirectory,
  options: RunOptions,
): Promise<ReadonlyMap<string, FinishedJob>> {
  const results = new Map<string, FinishedJob>();
  const open: TrainingJob[] = [];
  for (const device of devices) {
    throwIfInterrupted(options.signal, directory.path);
    const id = settleJobId(device.subModel.device, pass);
    const found = await directory.finished(id);
    if (found) results.set(id, { parameters: found.tensors, ...(found.facts as Omit<FinishedJob, "parameters">) });
    else open.push(await jobInPass(config, device, harvested, train, pass, options.signal));
  }
  for (const [id, result] of await trainJobs(open, directory, { ...options, config })) results.set(id, result);
  throwIfInterrupted(options.signal, directory.path);
  return results;
}

/**
 * Settles the harvested branches, as many passes as are configured; none leaves everything as it is. In turn, each device sees what those before it have
 * made in the same pass; together, all see the last pass. Every finished training is kept, so that a run killed between or within passes ends in the same weights.
 * `measure` gives the accuracies of branches; it is asked before the first pass and after each but the last.
 */
export async function settle(
  config: RunConfig,
  prepared: PreparedRun,
  harvested: readonly Harvested[],
  train: Samples,
  directory: RunDirectory,
  options: RunOptions,
  measure: (harvested: readonly Harvested[], pass: number) => Promise<{ readonly H0: number; readonly H2: number }>,
): Promise<Settled> {
  const { passes: count, order } = config.settle;
  const taking = prepared.devices.filter(({ subModel }) => harvested.some((h) => h.subModel.device === subModel.device));
  const ids = taking.map(({ subModel }) => subModel.device);
  const results = new Map<string, FinishedJob>();
  const passes: SettlePass[] = [];
  let latest = harvested;
  for (let pass = 1; pass <= count; pass++) {
    passes.push({ pass: pass - 1, ...(await measure(latest, pass - 1)), skipped: skippedIn(config, ids, pass - 1) });
    const turns = settleOrder(config, ids, pass)
      .filter((id) => settlePassesOf(config, id).includes(pass))
      .map((id) => taking.find(({ subModel }) => subModel.device === id) as PreparedDevice);
    options.onEvent?.({ type: "settling", pass, passes: count, devices: turns.map(({ subModel }) => subModel.device) });
    for (const group of order === "together" ? [turns] : turns.map((device) => [device])) {
      const found = await settleTogether(config, group, latest, train, pass, directory, options);
      latest = replaced(latest, pass, found);
      for (const [id, result] of found) results.set(id, result);
    }
    await directory.log({ type: "settled", pass });
  }
  return { harvested: latest, results, passes };
}

/** Devices that take no part in a pass; pass 0 is none that could be missed. */
export function skippedIn(config: RunConfig, devices: readonly string[], pass: number): readonly string[] {
  return pass === 0 ? [] : devices.filter((id) => !settlePassesOf(config, id).includes(pass));
}
