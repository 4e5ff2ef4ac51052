/** The facts of a run as the report wants them. */

import { smallEpochs } from "../compile/progressive.ts";
import { globalCost } from "../harvest/globalModel.ts";
import type { Head } from "../harvest/heads.ts";
import type { Network } from "../network/network.ts";
import { networkCost } from "../network/shapes.ts";
import { opsetVersion } from "../onnx/graph.ts";
import { branchCost } from "../plan/cost.ts";
import type { CurveSeries, DeviceReport, HeadReport, ReportData, TimelineSegment } from "../report/reportData.ts";
import { reportFormat } from "../report/reportData.ts";
import type { Evaluation } from "../train/evaluate.ts";
import type { RunConfig } from "./config.ts";
import { runFiles } from "./directory.ts";
import { dataSetReport, holdingsOf } from "./inspect.ts";
import type { LoadedData } from "./loadData.ts";
import { machineFacts, sheafVersion } from "./machine.ts";
import { describeNegatives } from "./negatives.ts";
import { type DeviceAccount, type RunOutcome, type RunResult, settlePassesOfRun } from "./result.ts";
import { settleTimeline } from "./settleTimeline.ts";
import { scheduleOf } from "./trainingSettings.ts";
import type { FinishedJob } from "./trainJobs.ts";

/** What no run can know of itself. */
export interface ReportContext {
  readonly commandLine: string;
  readonly commit: string | undefined;
  readonly date: string | undefined;
}

const headNames = {
  central: "Central control",
  slim: "Slim control",
  H0: "H0, sum of log-probabilities",
  H1: "H1, recentred and rescaled",
  H2: "H2, ridge on features",
  H3: "H3, ridge on features and log-probabilities",
  H4: "H4, ridge on features and a random expansion",
  H5: "H5, linear discriminant of features",
};

function headReport(id: keyof typeof headNames, evaluation: Evaluation, parameters: number, note?: string): HeadReport {
  return {
    id,
    label: headNames[id],
    accuracy: evaluation.accuracy,
    perClassAccuracy: evaluation.perClass,
    confusion: evaluation.confusion,
    parameters,
    ...(note === undefined ? {} : { note }),
  };
}

/** A device's day on the virtual clock: weights down, training, weights up; when all are up, settle passes, then the other branches down, the statistics pass, sums up. */
function timelines(outcome: RunOutcome, accounts: readonly DeviceAccount[]): readonly (readonly TimelineSegment[])[] {
  const { devices } = outcome.prepared;
  const weightBytes = devices.map(({ subModel }) => {
    const cost = networkCost(subModel.network);
    return 4 * (cost.parameters + cost.stateElements);
  });
  const firsts = devices.map(({ planned: { profile } }, i) => {
    const account = accounts[i] as DeviceAccount;
    const upload = (8 * (weightBytes[i] as number)) / profile.bandwidthBitsPerSecond;
    // A warm start begins with the trained target: its weights come down, and it is run before training starts.
    const targetBytes = account.warmStartMacs > 0 ? branchCost(outcome.prepared.target).weightBytes : 0;
    // Samples from a public pool come down before training, too.
    const firstBytes = targetBytes + (devices[i]?.poolBytes ?? 0);
    const transfer = upload + (8 * firstBytes) / profile.bandwidthBitsPerSecond;
    const trained = transfer + (account.warmStartMacs + account.trainOwnMacs + account.trainBackgroundMacs) / profile.macsPerSecond;
    return { firstBytes, transfer, trained, up: trained + upload };
  });
  const settling = devices.map(({ planned: { id, profile } }, i) => ({
    id,
    ...profile,
    settleMacs: accounts[i]?.settleMacs ?? 0,
    weightBytes: weightBytes[i] as number,
  }));
  const settled = settleTimeline(outcome.config, settling, Math.max(...firsts.map((f) => f.up)));
  const together = settled.endSeconds;
  return devices.map(({ planned: { profile } }, i) => {
    const { firstBytes, transfer, trained, up } = firsts[i] as (typeof firsts)[number];
    const account = accounts[i] as DeviceAccount;
    const seconds = (bytes: number): number => (8 * bytes) / profile.bandwidthBitsPerSecond;
    const fetched = together + seconds(account.bytesDown - (settled.bytesDown[i] ?? 0) - firstBytes - (weightBytes[i] as number));
    const passed = fetched + account.statisticsMacs / profile.macsPerSecond;
    return [
      { kind: "download", startSeconds: 0, endSeconds: transfer },
      { kind: "train", startSeconds: transfer, endSeconds: trained },
      { kind: "upload", startSeconds: trained, endSeconds: up },
      ...(settled.segments[i] ?? []),
      { kind: "download", startSeconds: together, endSeconds: fetched },
      { kind: "statistics", startSeconds: fetched, endSeconds: passed },
      {
        kind: "upload",
        startSeconds: passed,
        endSeconds: passed + seconds(account.bytesUp - (settled.bytesUp[i] ?? 0) - (weightBytes[i] as number)),
      },
    ];
  });
}

function deviceReports(outcome: RunOutcome, result: RunResult): readonly DeviceReport[] {
  const accounts = result.compute.byDevice;
  const times = timelines(outcome, accounts);
  return outcome.prepared.devices.map(({ planned, subModel, own, background, made, expected }, i): DeviceReport => {
    const account = accounts[i] as DeviceAccount;
    const cost = networkCost(subModel.network);
    const accuracy = outcome.ownAccuracy.find((a) => a.device === planned.id);
    const reason = outcome.rejected.get(planned.id);
    return {
      id: planned.id,
      profile: planned.profile.name,
      macsPerSecond: planned.profile.macsPerSecond,
      memoryBytes: planned.profile.memoryBytes,
      bandwidthBitsPerSecond: planned.profile.bandwidthBitsPerSecond,
      taskSet: subModel.taskSet,
      widths: typeof subModel.widths === "number" ? [subModel.widths] : Object.values(subModel.widths),
      submodelMacs: cost.macs,
      submodelParameters: cost.parameters,
      ownSamples: own.length,
      backgroundSamples: background.length + made.length,
      holdings: holdingsOf(outcome.data.train, { own, background }),
      epochs: planned.epochs,
      compute: {
        trainOwnMacs: account.trainOwnMacs,
        trainBackgroundMacs: account.trainBackgroundMacs,
        statisticsMacs: account.statisticsMacs,
        ...(account.warmStartMacs > 0 ? { warmStartMacs: account.warmStartMacs } : {}),
        ...(account.settleMacs > 0 ? { settleMacs: account.settleMacs } : {}),
      },
      fullTargetMacs: account.fullTargetMacs,
      ratio: account.ratio,
      ...(accuracy ? { ownClassAccuracy: accuracy.own } : {}),
      bytesDown: account.bytesDown,
      bytesUp: account.bytesUp,
      memoryEstimateBytes: expected.memoryBytes,
      memoryLimitBytes: planned.profile.memoryBytes,
      timeline: times[i] ?? [],
      status: reason === undefined ? "harvested" : "rejected",
      ...(reason === undefined ? {} : { statusNote: reason }),
    };
  });
}

function curvesOf(results: ReadonlyMap<string, FinishedJob>): readonly CurveSeries[] {
  return [...results]
    .map(([id, { curve }]) => ({
      id,
      label: id,
      points: curve.map(({ epoch, step, loss, accuracy, learningRate }) => ({ epoch, step, loss, accuracy, learningRate })),
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function describeTraining(config: RunConfig, { train }: LoadedData): ReportData["training"] {
  const { audio: ofClips, ...ofImages } = config.training.augmentation;
  const { epochs, batchSize, optimizer, labelSmoothing, emaDecay, logitAdjustment, progressive } = config.training;
  const { hardShare } = config.fleet;
  const { type, ...optimizerSettings } = optimizer;
  const { type: schedule, ...scheduleSettings } = scheduleOf(config, "wide");
  const narrowRate = scheduleOf(config, "narrow").learningRate;
  const list = (settings: object): string =>
    Object.entries(settings)
      .map(([key, value]) => `${key} ${value}`)
      .join(", ");
  const extras = [
    labelSmoothing > 0 ? `label smoothing ${labelSmoothing}` : "",
    emaDecay > 0 ? `weight average ${emaDecay}` : "",
    logitAdjustment > 0 ? `logit adjustment ${logitAdjustment}` : "",
    progressive ? `${smallEpochs(progressive, epochs)} of ${epochs} epochs on images of ${progressive.scale} times the size` : "",
    hardShare < 1 ? `sub-models and slim control on the hardest ${hardShare} of their samples` : "",
  ].filter((text) => text !== "");
  return {
    epochs,
    batch: batchSize,
    optimizer: [`${type} (${list(optimizerSettings)})`, ...extras].join(", "),
    schedule: `${schedule} (${list(scheduleSettings)}${narrowRate === scheduleSettings.learningRate ? "" : `; sub-models and slim control ${narrowRate}`})`,
    // Each is left alone by what is for the other.
    augmentation: list(train.audio && ofClips ? ofClips : ofImages),
  };
}

/** Provenance, data, target and training: what the report of a run and of a single training share. */
export async function reportBasis(
  config: RunConfig,
  data: LoadedData,
  target: Network,
  context: ReportContext,
): Promise<Omit<ReportData, "heads" | "mainHead" | "devices" | "curves">> {
  const machine = machineFacts();
  const cost = networkCost(target);
  return {
    format: reportFormat,
    title: `${target.name} on ${data.train.name}`,
    command: context.commandLine,
    seed: config.seed,
    ...(context.date === undefined ? {} : { date: context.date }),
    ...(context.commit === undefined ? {} : { commit: context.commit }),
    sheafVersion,
    machine: { cpu: machine.cpu, cores: machine.cores, node: machine.node, onnxruntime: machine.onnxruntime },
    dataSet: await dataSetReport(data),
    target: { name: target.name, width: config.target.width, macs: cost.macs, parameters: cost.parameters },
    training: describeTraining(config, data),
  };
}

/** The report of a finished run. */
export async function reportOf(outcome: RunOutcome, result: RunResult, context: ReportContext): Promise<ReportData> {
  const { config, data, prepared, heads, controls, harvested } = outcome;
  const classCount = data.train.classNames.length;
  const { channels, height, width } = prepared.target.input;
  const chosen = config.heads.heldOutShare > 0;
  const parametersOf = ({ on, expansion }: Pick<Head, "on" | "expansion">): number =>
    globalCost(
      harvested.map((h) => h.subModel),
      on,
      classCount,
      expansion?.shape[0],
    ).parameters;
  return {
    ...(await reportBasis(config, data, prepared.target, context)),
    rho: config.rho,
    negatives: describeNegatives(config),
    heads: [
      ...controls.map(({ id, network, evaluation }) =>
        headReport(
          id,
          evaluation,
          networkCost(network).parameters,
          id === "slim" ? `all classes, width ${prepared.slimSize}` : "the full target on all samples",
        ),
      ),
      ...heads.map(({ type, head, ridge, evaluation }) =>
        headReport(
          type,
          evaluation,
          parametersOf(head),
          ridge === undefined || !chosen ? undefined : `ridge ${ridge}, chosen on held-out samples`,
        ),
      ),
    ],
    mainHead: config.head,
    devices: deviceReports(outcome, result),
    computeRatio: result.compute.ratio,
    bytes: { down: result.bytes.down, up: result.bytes.up },
    curves: curvesOf(outcome.results),
    code: { leastDistance: result.code.leastDistance, correctedErasures: result.code.correctedErasures },
    ...(outcome.lostDevices.length > 0 ? { lostDevices: outcome.lostDevices } : {}),
    ...(outcome.earlierPasses.length > 0 ? { settlePasses: settlePassesOfRun(outcome) } : {}),
    model: {
      file: runFiles.model,
      bytes: result.bytes.model,
      sha256: outcome.modelSha256,
      inputs: [{ name: "image", dtype: "float32", shape: ["N", channels, height, width] }],
      outputs: [
        { name: "logits", dtype: "float32", shape: ["N", classCount] },
        { name: "probabilities", dtype: "float32", shape: ["N", classCount] },
      ],
      opset: opsetVersion,
      parameters: parametersOf(heads.find((h) => h.type === config.head)?.head ?? { on: "features" }),
    },
  };
}
