/**
 * The diagnosis "joint branches": the branches of the plan with the global model's head, trained together with one softmax on all data.
 * What it gains over branches trained alone is what their independence costs. It spares no device anything and is no method of Sheaf.
 */
import { compileInference } from "../compile/deploy.ts";
import type { Dataset } from "../data/dataset.ts";
import { openSamples } from "../data/samples.node.ts";
import type { Network } from "../network/network.ts";
import { networkCost } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { trainingMacs } from "../plan/cost.ts";
import { openRunDirectory, runFiles } from "../run/directory.ts";
import { audioInputOf } from "../run/loadData.ts";
import { sheafVersion } from "../run/machine.ts";
import { openRun } from "../run/openRun.ts";
import type { RunOptions } from "../run/options.ts";
import { controlJob, type PreparedRun, prepareRun } from "../run/prepare.ts";
import { type FinishedJob, throwIfInterrupted, trainJobs } from "../run/trainJobs.ts";
import { openSession } from "../runtime/session.node.ts";
import { evaluateModel } from "../train/evaluate.ts";
import { joinBranches } from "./joinBranches.ts";

/** What comes of it; also `result.json` of its directory. */
export interface JointResult {
  readonly format: "sheaf-joint/1";
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  readonly evaluatedOn: "test" | "validation";
  readonly branches: number;
  readonly parameters: number;
  /** All multiply-adds of the training; a step counts as three forward passes. */
  readonly computeMacs: number;
  readonly dataSet: { readonly name: string; readonly train: number; readonly test: number };
  readonly seconds: number;
  readonly modelBytes: number;
}

/** The network that is trained: the branches of a plan side by side. */
export function joinedOf({ devices }: PreparedRun, { classNames }: Pick<Dataset, "classNames">): Network {
  return joinBranches(
    devices.map(({ subModel }) => subModel.network),
    classNames.length,
  );
}

/** Trains the branches of the configuration's plan jointly; same directory layout, resumption and determinism as `run`. */
export async function trainJoint(options: RunOptions): Promise<JointResult> {
  const started = performance.now();
  const { signal, onEvent } = options;
  const { data, target, config } = await openRun(options);
  const { train, test } = data;
  const prepared = prepareRun(config, target.network, train);
  const network = joinedOf(prepared, train);
  const { workers: _, checkpointSeconds: __, ...same } = config;
  const identity = { kind: "joint", ...same, dataSha256: train.provenance.sha256 };
  await using directory = await openRunDirectory(options.out, identity, options.resume ?? false);
  await directory.log({ type: directory.resumed ? "resumed" : "started", version: sheafVersion });
  const id = "joint";
  const job = controlJob(config, train, id, network, "narrow");
  const finished = (await trainJobs([job], directory, { ...options, config })).get(id) as FinishedJob;
  throwIfInterrupted(signal, options.out);
  const graph = compileInference(network, finished.parameters, { classNames: train.classNames, ...audioInputOf(train) });
  const model = writeOnnx(graph, { batchAxis: "N", producerVersion: sheafVersion });
  await directory.write(runFiles.model, model);
  const session = await openSession(model, { name: runFiles.model });
  using samples = openSamples(test);
  const evaluation = await evaluateModel(session, samples).finally(() => session.dispose());
  await directory.log({ type: "evaluated", id, accuracy: evaluation.accuracy });
  onEvent?.({ type: "evaluated", id, accuracy: evaluation.accuracy });
  const cost = networkCost(network);
  const result: JointResult = {
    format: "sheaf-joint/1",
    accuracy: evaluation.accuracy,
    balancedAccuracy: evaluation.balancedAccuracy,
    evaluatedOn: data.evaluatedOn,
    branches: prepared.devices.length,
    parameters: cost.parameters,
    computeMacs: trainingMacs(network, job.settings) * train.labels.length,
    dataSet: { name: train.name, train: train.labels.length, test: test.labels.length },
    seconds: Math.round((performance.now() - started) / 100) / 10,
    modelBytes: model.length,
  };
  await directory.write(runFiles.result, `${JSON.stringify(result, null, 2)}\n`);
  return result;
}
