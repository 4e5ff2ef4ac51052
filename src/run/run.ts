/** A whole run on one machine: data, plan, training side by side, harvest, statistics, heads, evaluation, model and report. */
import { compileInference } from "../compile/deploy.ts";
import { openSamples } from "../data/samples.node.ts";
import type { Samples } from "../data/samples.ts";
import { assembleGlobal, branchGraph } from "../harvest/globalModel.ts";
import type { Harvested } from "../harvest/harvested.ts";
import type { Head, HeadType } from "../harvest/heads.ts";
import { makeHead } from "../harvest/makeHead.ts";
import { addStatistics, type DeviceStatistics } from "../harvest/statistics.ts";
import { compileStatistics, computeStatistics } from "../harvest/statisticsPass.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { type Evaluation, evaluateModel } from "../train/evaluate.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { branchAccuracies } from "./branches.ts";
import type { RunConfig } from "./config.ts";
import { checkRunFolder, openRunDirectory, type RunDirectory, runFiles } from "./directory.ts";
import { type GateOutcome, keepStatistics, passGate, readStatistics } from "./harvest.ts";
import { audioInputOf, dataMetadata, type LoadedData, loadData } from "./loadData.ts";
import { sheafVersion } from "./machine.ts";
import type { RunOptions } from "./options.ts";
import { controlIds, type PreparedRun, prepareRun } from "./prepare.ts";
import { type RunOutcome, type RunResult, summarize } from "./result.ts";
import { fitOf, loadTarget, withRates } from "./target.ts";
import { type FinishedJob, throwIfInterrupted, trainJobs } from "./trainJobs.ts";
import { warmStart } from "./warmStart.ts";
import { writeReports } from "./writeReports.ts";

/** Passes every device's result through the gate; a rejected device is left out and said. */
async function harvestAll(
  prepared: PreparedRun,
  results: ReadonlyMap<string, FinishedJob>,
  train: LoadedData["train"],
  directory: RunDirectory,
  options: RunOptions,
): Promise<GateOutcome> {
  const outcome = passGate(prepared, (id) => results.get(id)?.parameters ?? new Map(), train.labels, train.classNames.length);
  for (const [device, reason] of outcome.rejected) {
    await directory.log({ type: "rejected", device, reason });
    options.onEvent?.({ type: "rejected", device, reason });
  }
  return outcome;
}

/** One forward pass of all branches over each device's own samples; only sums are kept, device by device, and added. */
async function gatherStatistics(
  prepared: PreparedRun,
  harvested: readonly Harvested[],
  train: Samples,
  directory: RunDirectory,
  options: RunOptions,
): Promise<DeviceStatistics> {
  const program = compileStatistics(harvested, train.dataset.classNames.length);
  const model = writeOnnx(program.graph);
  const branches = sha256Hex(model);
  const session = await openSession(model, { name: "the statistics pass" });
  try {
    let total: DeviceStatistics | undefined;
    for (const { subModel, statistics: samples } of prepared.devices) {
      throwIfInterrupted(options.signal, directory.path);
      let statistics = await readStatistics(directory.path, subModel.device, branches);
      if (!statistics) {
        options.onEvent?.({ type: "statistics", device: subModel.device, samples: samples.length });
        statistics = await computeStatistics(session, program, train, samples, options.signal ? { signal: options.signal } : {});
        await keepStatistics(directory, subModel.device, statistics, branches);
        await directory.log({ type: "statistics", device: subModel.device, samples: samples.length });
      }
      total = total ? addStatistics(total, statistics) : statistics;
    }
    return total as DeviceStatistics;
  } finally {
    await session.dispose();
  }
}

async function evaluate(model: Uint8Array, id: string, test: Samples, directory: RunDirectory, options: RunOptions): Promise<Evaluation> {
  throwIfInterrupted(options.signal, directory.path);
  const session = await openSession(model, { name: id });
  try {
    const evaluation = await evaluateModel(session, test);
    await directory.log({ type: "evaluated", id, accuracy: evaluation.accuracy });
    options.onEvent?.({ type: "evaluated", id, accuracy: evaluation.accuracy });
    return evaluation;
  } finally {
    await session.dispose();
  }
}

/** Every head as a model, evaluated; the configured one is what `model.onnx` will be. */
async function evaluateHeads(
  harvested: readonly Harvested[],
  statistics: DeviceStatistics,
  data: LoadedData,
  test: Samples,
  directory: RunDirectory,
  options: RunOptions,
): Promise<RunOutcome["heads"]> {
  const { classNames } = data.train;
  const types: readonly HeadType[] = ["H0", "H1", "H2"];
  const heads: { type: HeadType; head: Head; model: Uint8Array<ArrayBuffer>; evaluation: Evaluation }[] = [];
  for (const type of types) {
    const head = makeHead(type, { harvested, classCount: classNames.length, statistics });
    const model = writeOnnx(
      assembleGlobal(harvested, head, {
        classNames,
        version: sheafVersion,
        metadata: { ...dataMetadata(options.config, data), seed: String(options.config.seed) },
        ...audioInputOf(data.train),
      }),
      {
        batchAxis: "N",
        producerVersion: sheafVersion,
      },
    );
    heads.push({ type, head, model, evaluation: await evaluate(model, type, test, directory, options) });
  }
  return heads;
}

/** A control as a deployable model, written and evaluated. */
async function evaluateControl(
  id: string,
  network: Network,
  result: FinishedJob,
  data: LoadedData,
  test: Samples,
  directory: RunDirectory,
  options: RunOptions,
): Promise<RunOutcome["controls"][number]> {
  const graph = compileInference(network, result.parameters, {
    classNames: data.train.classNames,
    metadata: { ...dataMetadata(options.config, data), control: id, sheafVersion },
    ...audioInputOf(data.train),
  });
  const model = writeOnnx(graph, { batchAxis: "N", producerVersion: sheafVersion });
  await directory.write(`${id}.onnx`, model);
  return { id: id as "central" | "slim", network, evaluation: await evaluate(model, id, test, directory, options) };
}

/**
 * Runs everything from configuration to report. Killed at any moment and run again with `resume`, it ends in the same `model.onnx`.
 * Throws what its parts throw; `interrupted` when `signal` is aborted, with everything kept.
 */
export async function run(options: RunOptions): Promise<RunResult> {
  const started = performance.now();
  const { onEvent, signal } = options;
  await checkRunFolder(options.out, options.resume ?? false);
  const data = await loadData(options.config, options.dataDir === undefined ? {} : { data: options.dataDir }, options.dataProgress, signal);
  const named: RunConfig = { ...options.config, data: { ...options.config.data, name: data.configName } };
  onEvent?.({
    type: "data",
    name: data.train.name,
    train: data.train.labels.length,
    test: data.test.labels.length,
    evaluatedOn: data.evaluatedOn,
    source: data.train.provenance.source,
    note: data.note,
  });
  const target = await loadTarget(named, fitOf(data.train));
  const config = withRates(named, target);
  using trainSamples = openSamples(data.train);
  using test = openSamples(data.test);
  const trained = target.parameters !== undefined;
  const prepared = await warmStart(prepareRun(config, target.network, data.train, trained), target, config, trainSamples, signal);
  onEvent?.({ type: "planned", prepared, classNames: data.train.classNames });

  // Neither changes a result, so a run may be resumed with other values.
  const { workers: _workers, checkpointSeconds: _checkpointSeconds, ...identity } = config;
  await using directory = await openRunDirectory(
    options.out,
    { ...identity, dataSha256: data.train.provenance.sha256 },
    options.resume ?? false,
  );
  await directory.log({ type: directory.resumed ? "resumed" : "started", version: sheafVersion });
  const results = await trainJobs(prepared.jobs, directory, { ...options, config });
  throwIfInterrupted(signal, options.out);
  const { harvested, rejected } = await harvestAll(prepared, results, data.train, directory, options);
  const statistics = await gatherStatistics(prepared, harvested, trainSamples, directory, options);
  const heads = await evaluateHeads(harvested, statistics, data, test, directory, options);
  const main = heads.find((h) => h.type === config.head) as RunOutcome["heads"][number];
  await directory.write(runFiles.model, main.model);
  const controls: RunOutcome["controls"][number][] = [];
  for (const id of [controlIds.slim, controlIds.central]) {
    const job = prepared.jobs.find((j) => j.id === id);
    const result = results.get(id);
    if (job && result) controls.push(await evaluateControl(id, job.network, result, data, test, directory, options));
  }
  const session = await openSession(writeOnnx(branchGraph(harvested), { batchAxis: "N" }), { name: "the branches" });
  const ownAccuracy = await branchAccuracies(session, harvested, test).finally(() => session.dispose());
  const outcome: RunOutcome = {
    config,
    data,
    prepared,
    results,
    harvested,
    rejected,
    heads,
    controls,
    ownAccuracy,
    modelSha256: sha256Hex(main.model),
  };
  const result = summarize(outcome, options.out, (performance.now() - started) / 1e3);
  await writeReports(outcome, result, directory, options.commandLine ?? "sheaf run");
  for (const file of [runFiles.model, runFiles.report]) onEvent?.({ type: "written", file: directory.at(file) });
  await directory.log({ type: "finished", model: outcome.modelSha256 });
  return result;
}
