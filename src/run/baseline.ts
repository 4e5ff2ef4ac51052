/** A whole baseline on one machine: the fleet, samples and profiles of the run with the same configuration, rounds, model, evaluation, accounts. */
import { availableParallelism } from "node:os";
import { compileEnsemble } from "../baselines/ensemble.ts";
import type { BaselineMethod, Client, Federation } from "../baselines/federation.ts";
import type { LedgerState } from "../baselines/ledger.ts";
import { type Progress, roundsOf, runRounds, type Trained } from "../baselines/rounds.ts";
import { type BaselineName, baselines } from "../baselines/table.ts";
import type { Dataset } from "../data/dataset.ts";
import { openSamples } from "../data/samples.node.ts";
import type { Samples } from "../data/samples.ts";
import type { Network } from "../network/network.ts";
import { networkCost } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { type Evaluation, evaluateModel } from "../train/evaluate.ts";
import type { TrainingJob } from "../train/job.ts";
import { trainAll } from "../train/pool.node.ts";
import { SheafError } from "../util/errors.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { accountsOf, type BaselinePoint, type BaselineResult } from "./baselineResult.ts";
import type { RunConfig } from "./config.ts";
import { openRunDirectory, type RunDirectory, runFiles } from "./directory.ts";
import { audioInputOf, type LoadedData } from "./loadData.ts";
import { commitOf, sheafVersion } from "./machine.ts";
import { openRun } from "./openRun.ts";
import type { RunEvent, RunOptions } from "./options.ts";
import { type PreparedRun, prepareRun } from "./prepare.ts";
import { trainingSettings } from "./trainingSettings.ts";
import { type FinishedJob, throwIfInterrupted, trainJobs } from "./trainJobs.ts";
import { writeManifest } from "./writeReports.ts";

/** What happens in a baseline: as in a run, and the end of each round. */
export type BaselineEvent = RunEvent | ({ readonly type: "round"; readonly rounds: number } & BaselinePoint);

export interface BaselineRunOptions extends Omit<RunOptions, "onEvent"> {
  readonly method: BaselineName;
  readonly onEvent?: (event: BaselineEvent) => void;
}

/** The devices of a prepared run as clients. */
export function federationOf(config: RunConfig, prepared: PreparedRun, train: Dataset): Federation {
  const { rounds, evaluateEvery: _, samples, ...options } = config.baseline;
  const clients = prepared.devices.map(
    ({ planned, own, background }): Client => ({
      id: planned.id,
      profile: planned.profile,
      widths: planned.widths,
      samples: samples === "own" ? own : Uint32Array.from([...own, ...background]),
      ownSamples: own.length,
    }),
  );
  return {
    target: prepared.target,
    dataset: train,
    clients,
    slimWidth: prepared.slimWidth,
    settings: { wide: trainingSettings(config, "wide"), narrow: trainingSettings(config, "narrow") },
    options: { ...options, rounds: rounds ?? Math.max(1, Math.round(config.training.epochs / options.localEpochs)) },
    seed: config.seed,
  };
}

/** Name under which the server's state is kept between rounds. */
const serverId = "server";

interface ServerFacts {
  readonly done: number;
  readonly ledger: LedgerState;
  readonly curve: readonly BaselinePoint[];
}

/** What evaluates and keeps a baseline's models. */
class Answers {
  readonly #method: BaselineMethod;
  readonly #federation: Federation;
  readonly #data: LoadedData;
  readonly #test: Samples;

  constructor(method: BaselineMethod, federation: Federation, data: LoadedData, test: Samples) {
    this.#method = method;
    this.#federation = federation;
    this.#data = data;
    this.#test = test;
  }

  model({ state }: Pick<Progress, "state">): { readonly bytes: Uint8Array<ArrayBuffer>; readonly networks: readonly Network[] } {
    const members = this.#method.members(this.#federation, state);
    const graph = compileEnsemble(members, this.#method.combine, {
      classNames: this.#data.train.classNames,
      metadata: { baseline: this.#method.title, sheafVersion, dataSet: this.#data.train.name, seed: String(this.#federation.seed) },
      ...audioInputOf(this.#data.train),
    });
    return { bytes: writeOnnx(graph, { batchAxis: "N", producerVersion: sheafVersion }), networks: members.map(({ network }) => network) };
  }

  async evaluate(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<Evaluation> {
    const session = await openSession(bytes, { name: runFiles.model });
    return evaluateModel(session, this.#test, signal ? { signal } : {}).finally(() => session.dispose());
  }
}

/** Trains the jobs of one round; those of a method with one round are kept one by one, so that a stopped run goes on in the midst of it. */
function trainerOf(
  method: BaselineMethod,
  directory: RunDirectory,
  options: BaselineRunOptions,
): (jobs: readonly TrainingJob[]) => Promise<readonly Trained[]> {
  const { config, signal, onEvent } = options;
  if (method.oneShot) {
    return async (jobs) => {
      const results = await trainJobs(jobs, directory, { ...options, ...(onEvent ? { onEvent } : {}) });
      throwIfInterrupted(signal, options.out);
      return jobs.map(({ id }) => results.get(id) as FinishedJob);
    };
  }
  return async (jobs) => {
    try {
      return await trainAll(jobs, {
        workers: config.workers ?? availableParallelism(),
        ...(signal ? { signal } : {}),
        onProgress: (progress) => onEvent?.(progress),
      });
    } catch (error) {
      throwIfInterrupted(signal, options.out);
      throw error;
    }
  };
}

/** One line per round; what a round does not have stays empty. */
function roundsCsv(curve: readonly BaselinePoint[]): string {
  const rows = curve.map((p) =>
    [p.round, p.virtualSeconds, p.fleetMacs, p.loss, p.trainingAccuracy, p.accuracy].map((v) => v ?? "").join(","),
  );
  return `${["round,virtualSeconds,fleetMacs,loss,trainingAccuracy,accuracy", ...rows].join("\n")}\n`;
}

/**
 * Runs a baseline from configuration to model and accounts. Killed at any moment and run again with `resume`, it goes on after the last whole round and ends in the same
 * `model.onnx`. Throws what its parts throw; `config` for a trained target, from which no baseline starts, and for
 * progressive image size, which their rounds have no place for; `interrupted` when `signal` is aborted.
 */
export async function runBaseline(options: BaselineRunOptions): Promise<BaselineResult> {
  const started = performance.now();
  const { onEvent, signal, out } = options;
  const method = baselines[options.method];
  if (options.config.training.progressive ?? options.config.fleet.progressive) {
    throw new SheafError("config", "Baselines train on whole images in every round; leave training.progressive and fleet.progressive out.");
  }
  const { data, target: loaded, config } = await openRun(options);
  const { train, test } = data;
  if (loaded.parameters) {
    throw new SheafError(
      "config",
      `${config.target.network} brings trained weights, but baselines start from scratch; give the network without weights.`,
    );
  }
  const prepared = prepareRun(config, loaded.network, train);
  const federation = federationOf(config, prepared, train);
  const clients = method.clients(federation);
  const rounds = roundsOf(method, federation);
  const ids = new Set(clients.map(({ id }) => id));
  onEvent?.({
    type: "planned",
    prepared: { ...prepared, jobs: prepared.jobs.filter(({ id }) => ids.has(id)) },
    classNames: train.classNames,
  });

  const { workers: _workers, checkpointSeconds: _checkpointSeconds, ...rest } = config;
  const identity = { kind: "baseline", method: options.method, ...rest, dataSha256: train.provenance.sha256 };
  await using directory = await openRunDirectory(out, identity, options.resume ?? false);
  await directory.log({ type: directory.resumed ? "resumed" : "started", version: sheafVersion });
  using samples = openSamples(test);
  const answers = new Answers(method, federation, data, samples);
  const kept = await directory.finished(serverId);
  const facts = kept?.facts as ServerFacts | undefined;
  const curve: BaselinePoint[] = [...(facts?.curve ?? [])];
  if (facts) onEvent?.({ type: "resumed", finished: [`${facts.done} of ${rounds} rounds`] });
  const end = await runRounds(federation, method, {
    train: trainerOf(method, directory, { ...options, config }),
    ...(kept && facts ? { from: { done: facts.done, state: kept.tensors, ledger: facts.ledger } } : {}),
    async onRound(record, progress) {
      const { evaluateEvery } = config.baseline;
      const due = evaluateEvery > 0 && record.round % evaluateEvery === 0 && record.round < rounds;
      const accuracy = due ? (await answers.evaluate(answers.model(progress).bytes, signal)).accuracy : undefined;
      const { virtualSeconds, accounts } = progress.ledger;
      const fleetMacs = accounts.reduce((sum, account) => sum + account.totalMacs, 0);
      const point: BaselinePoint = { ...record, virtualSeconds, fleetMacs, ...(accuracy === undefined ? {} : { accuracy }) };
      curve.push(point);
      await directory.finish(serverId, progress.state, { done: progress.done, ledger: progress.ledger, curve });
      await directory.log({ type: "round", ...point });
      onEvent?.({ type: "round", rounds, ...point });
      throwIfInterrupted(signal, out);
    },
  });

  const { bytes: model, networks } = answers.model(end);
  await directory.write(runFiles.model, model);
  const evaluation = await answers.evaluate(model, signal);
  await directory.log({ type: "evaluated", id: options.method, accuracy: evaluation.accuracy });
  onEvent?.({ type: "evaluated", id: options.method, accuracy: evaluation.accuracy });
  const last = curve.pop();
  if (last) curve.push({ ...last, accuracy: evaluation.accuracy });

  const target = networkCost(prepared.target);
  const { down, up, ...compute } = accountsOf(clients, end.ledger, target.macs, config.training.epochs);
  const costs = networks.map(networkCost);
  const result: BaselineResult = {
    format: "sheaf-baseline/1",
    method: options.method,
    title: method.title,
    paper: method.paper,
    accuracy: evaluation.accuracy,
    balancedAccuracy: evaluation.balancedAccuracy,
    evaluatedOn: data.evaluatedOn,
    perClass: evaluation.perClass,
    rounds,
    curve,
    virtualSeconds: end.ledger.virtualSeconds,
    compute: { ...compute, centralMacs: 3 * target.macs * train.labels.length * config.training.epochs },
    bytes: { down, up, model: model.length },
    model: {
      file: directory.at(runFiles.model),
      sha256: sha256Hex(model),
      macs: costs.reduce((sum, { macs }) => sum + macs, 0),
      parameters: costs.reduce((sum, { parameters }) => sum + parameters, 0),
      networks: networks.length,
    },
    dataSet: { name: train.name, train: train.labels.length, test: test.labels.length },
    target: { network: prepared.target.name, width: config.target.width, macs: target.macs, parameters: target.parameters },
    seed: config.seed,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    out,
  };
  await directory.write(runFiles.metrics, roundsCsv(curve));
  await directory.write(runFiles.result, `${JSON.stringify(result, null, 2)}\n`);
  const commandLine = options.commandLine ?? `sheaf baseline ${options.method}`;
  const files = [runFiles.config, runFiles.model, runFiles.metrics, runFiles.result];
  await writeManifest(directory, { seed: config.seed, commandLine, commit: await commitOf() }, files);
  await directory.log({ type: "finished", model: result.model.sha256 });
  return result;
}
