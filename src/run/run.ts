/** A whole run on one machine: data, plan, training side by side, harvest, statistics, heads, evaluation, model and report. */
import { compileInference } from "../compile/deploy.ts";
import { openSamples } from "../data/samples.node.ts";
import type { Samples } from "../data/samples.ts";
import { assembleGlobal, branchGraph } from "../harvest/globalModel.ts";
import type { Harvested } from "../harvest/harvested.ts";
import type { HeadType } from "../harvest/heads.ts";
import { makeHead } from "../harvest/makeHead.ts";
import type { Network } from "../network/network.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { branchAccuracies } from "./branches.ts";
import type { RunConfig } from "./config.ts";
import { openRunDirectory, type RunDirectory, runFiles } from "./directory.ts";
import { controlIds } from "./fleet.ts";
import { type GateOutcome, passGate } from "./harvest.ts";
import { evaluate, evaluateHeads } from "./heads.ts";
import { audioInputOf, dataMetadata, type LoadedData } from "./loadData.ts";
import { makeLostHeads } from "./lostDevices.ts";
import { sheafVersion } from "./machine.ts";
import { openRun } from "./openRun.ts";
import type { RunOptions } from "./options.ts";
import { type PreparedRun, prepareRun } from "./prepare.ts";
import { type RunOutcome, type RunResult, summarize } from "./result.ts";
import { settle } from "./settle.ts";
import { gatherStatistics } from "./sums.ts";
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

/** Accuracies of H0 and H2 on branches that are to be settled further, kept so that they are measured once. */
async function measureBranches(
  config: RunConfig,
  prepared: PreparedRun,
  harvested: readonly Harvested[],
  pass: number,
  data: LoadedData,
  train: Samples,
  test: Samples,
  directory: RunDirectory,
  options: RunOptions,
): Promise<{ readonly H0: number; readonly H2: number }> {
  const id = `settle.pass${pass}`;
  const found = await directory.finished(id);
  if (found) return found.facts as { H0: number; H2: number };
  const { classNames } = data.train;
  const sums = await gatherStatistics(config, prepared, harvested, train, directory, options);
  const accuracy = async (type: HeadType): Promise<number> => {
    const head = makeHead(type, { harvested, ...sums });
    const graph = assembleGlobal(harvested, head, { classNames, ...audioInputOf(data.train) });
    return (await evaluate(writeOnnx(graph, { batchAxis: "N" }), `${type}, pass ${pass}`, test, directory, options)).accuracy;
  };
  const facts = { H0: await accuracy("H0"), H2: await accuracy("H2") };
  await directory.finish(id, new Map(), facts);
  return facts;
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
    metadata: { ...dataMetadata(options.config, data.train), control: id, sheafVersion },
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
  const { data, target, config } = await openRun(options);
  using trainSamples = openSamples(data.train);
  using test = openSamples(data.test);
  const trained = target.parameters !== undefined;
  const prepared = await warmStart(prepareRun(config, target.network, data.train, trained), target, config, trainSamples, signal);
  onEvent?.({ type: "planned", prepared, classNames: data.train.classNames });

  // None changes a result, so a run may be resumed with other values.
  const { workers: _workers, checkpointSeconds: _checkpointSeconds, serve: _serve, ...identity } = config;
  await using directory = await openRunDirectory(
    options.out,
    { ...identity, dataSha256: data.train.provenance.sha256 },
    options.resume ?? false,
  );
  await directory.log({ type: directory.resumed ? "resumed" : "started", version: sheafVersion });
  const results = await trainJobs(prepared.jobs, directory, { ...options, config });
  throwIfInterrupted(signal, options.out);
  const { harvested: firstBranches, rejected } = await harvestAll(prepared, results, data.train, directory, options);
  const settled = await settle(config, prepared, firstBranches, trainSamples, directory, options, (branches, pass) =>
    measureBranches(config, prepared, branches, pass, data, trainSamples, test, directory, options),
  );
  const { harvested } = settled;
  const sums = await gatherStatistics(config, prepared, harvested, trainSamples, directory, options);
  const heads = await evaluateHeads(config, harvested, sums, data, test, directory, options);
  const main = heads.find((h) => h.type === config.head) as RunOutcome["heads"][number];
  await directory.write(runFiles.model, main.model);
  const controls: RunOutcome["controls"][number][] = [];
  for (const id of [controlIds.slim, controlIds.central]) {
    const job = prepared.jobs.find((j) => j.id === id);
    const result = results.get(id);
    if (job && result) controls.push(await evaluateControl(id, job.network, result, data, test, directory, options));
  }
  const deviceIds = prepared.devices.map((d) => d.subModel.device);
  const lost = await makeLostHeads(directory.path, config, deviceIds, harvested, data.train.classNames.length, signal);
  const session = await openSession(writeOnnx(branchGraph(harvested, lost.heads), { batchAxis: "N" }), { name: "the branches" });
  const ownAccuracy = await branchAccuracies(session, harvested, test, undefined, (outputs, labels) => lost.add(outputs, labels)).finally(
    () => session.dispose(),
  );
  const outcome: RunOutcome = {
    config,
    data,
    prepared,
    results: new Map([...results, ...settled.results]),
    harvested,
    earlierPasses: settled.passes,
    rejected,
    heads,
    controls,
    ownAccuracy,
    lostDevices: lost.accuracies(),
    modelSha256: sha256Hex(main.model),
  };
  const result = summarize(outcome, options.out, (performance.now() - started) / 1e3);
  await writeReports(outcome, result, directory, options.commandLine ?? "sheaf run");
  for (const file of [runFiles.model, runFiles.report]) onEvent?.({ type: "written", file: directory.at(file) });
  await directory.log({ type: "finished", model: outcome.modelSha256 });
  return result;
}
