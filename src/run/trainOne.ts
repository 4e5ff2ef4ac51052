/** Trains one network with all classes: the central baseline. */
import { compileInference } from "../compile/deploy.ts";
import { openSamples } from "../data/samples.node.ts";
import { networkCost } from "../network/shapes.ts";
import { opsetVersion } from "../onnx/graph.ts";
import { writeOnnx } from "../onnx/write.ts";
import { trainingMacs } from "../plan/cost.ts";
import type { ReportData } from "../report/reportData.ts";
import { openSession } from "../runtime/session.node.ts";
import { evaluateModel } from "../train/evaluate.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import { openRunDirectory, runFiles } from "./directory.ts";
import { audioInputOf, dataMetadata } from "./loadData.ts";
import { commitOf, sheafVersion } from "./machine.ts";
import { openRun } from "./openRun.ts";
import type { RunOptions } from "./options.ts";
import { controlJob } from "./prepare.ts";
import { reportBasis } from "./reportOf.ts";
import { trainingSettings } from "./trainingSettings.ts";
import { type FinishedJob, throwIfInterrupted, trainJobs } from "./trainJobs.ts";
import { writeManifest, writeReportFiles } from "./writeReports.ts";

/** The object that `sheaf train --json` prints. */
export interface TrainResult {
  readonly format: "sheaf-train-result/1";
  readonly accuracy: number;
  /** Mean of the accuracies of the classes. */
  readonly balancedAccuracy: number;
  readonly evaluatedOn: "test" | "validation";
  readonly perClass: readonly (number | null)[];
  readonly confusion: readonly (readonly number[])[];
  readonly loss: number;
  readonly trainingAccuracy: number;
  readonly macs: number;
  readonly parameters: number;
  /** All multiply-adds of the training; a step counts as three forward passes. */
  readonly computeMacs: number;
  readonly seconds: number;
  readonly seed: number;
  readonly out: string;
  readonly model: string;
  readonly modelSha256: string;
}

/** Trains the configured network on all samples; same directory layout, resumption and determinism as `run`. */
export async function trainOne(options: RunOptions): Promise<TrainResult> {
  const started = performance.now();
  const { onEvent, signal } = options;
  const { data, target: loaded, config } = await openRun(options);
  const { train, test } = data;
  const { network, parameters: initial } = loaded;
  const { seed, data: dataConfig, target } = config;
  const identity = {
    kind: "train",
    seed,
    data: dataConfig,
    target,
    training: trainingSettings(config, "wide"),
    dataSha256: train.provenance.sha256,
  };
  await using directory = await openRunDirectory(options.out, identity, options.resume ?? false);
  await directory.log({ type: directory.resumed ? "resumed" : "started", version: sheafVersion });
  const id = "central";
  const job = { ...controlJob(config, train, id, network, "wide"), ...(initial ? { initial } : {}) };
  const finished = (await trainJobs([job], directory, { ...options, config })).get(id) as FinishedJob;
  throwIfInterrupted(signal, options.out);
  const last = finished.curve.at(-1);
  const graph = compileInference(network, finished.parameters, {
    classNames: train.classNames,
    metadata: { ...dataMetadata(config, data.train), sheafVersion },
    ...audioInputOf(train),
  });
  const model = writeOnnx(graph, { batchAxis: "N", producerVersion: sheafVersion });
  await directory.write(runFiles.model, model);
  await directory.write("parameters.safetensors", encodeSafetensors(finished.parameters));
  const session = await openSession(model, { name: runFiles.model });
  using samples = openSamples(test);
  const evaluation = await evaluateModel(session, samples).finally(() => session.dispose());
  await directory.log({ type: "evaluated", id, accuracy: evaluation.accuracy });
  onEvent?.({ type: "evaluated", id, accuracy: evaluation.accuracy });
  const cost = networkCost(network);
  const commandLine = options.commandLine ?? "sheaf train";
  const commit = await commitOf();
  const { channels, height, width } = network.input;
  const classes = train.classNames.length;
  const sha256 = sha256Hex(model);
  const report: ReportData = {
    ...(await reportBasis(config, data, network, { commandLine, commit, date: new Date().toISOString().slice(0, 10) })),
    heads: [
      {
        id,
        label: "Central training",
        accuracy: evaluation.accuracy,
        perClassAccuracy: evaluation.perClass,
        confusion: evaluation.confusion,
        parameters: cost.parameters,
      },
    ],
    mainHead: id,
    devices: [],
    curves: [{ id, label: id, points: finished.curve }],
    model: {
      file: runFiles.model,
      bytes: model.length,
      sha256,
      inputs: [{ name: "image", dtype: "float32", shape: ["N", channels, height, width] }],
      outputs: ["logits", "probabilities"].map((name) => ({ name, dtype: "float32", shape: ["N", classes] })),
      opset: opsetVersion,
      parameters: cost.parameters,
    },
  };
  await writeReportFiles(report, directory);
  const result: TrainResult = {
    format: "sheaf-train-result/1",
    accuracy: evaluation.accuracy,
    balancedAccuracy: evaluation.balancedAccuracy,
    evaluatedOn: data.evaluatedOn,
    perClass: evaluation.perClass,
    confusion: evaluation.confusion,
    loss: last?.loss ?? 0,
    trainingAccuracy: last?.accuracy ?? 0,
    macs: cost.macs,
    parameters: cost.parameters,
    computeMacs: trainingMacs(network, job.settings) * train.labels.length,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    seed,
    out: options.out,
    model: directory.at(runFiles.model),
    modelSha256: sha256,
  };
  await directory.write(runFiles.result, `${JSON.stringify(result, null, 2)}\n`);
  await writeManifest(directory, { seed, commandLine, commit });
  await directory.log({ type: "finished", model: sha256 });
  return result;
}
