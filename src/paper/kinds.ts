/** How each kind of method is run, and what is measured of it. A total table: a new kind is a compile error until it has its row. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type BaselineName, baselines } from "../baselines/table.ts";
import type { Dataset } from "../data/dataset.ts";
import { narrow } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { networkCost } from "../network/shapes.ts";
import { forwardsPerTrainingStep, trainingMacs } from "../plan/cost.ts";
import type { ReportData } from "../report/reportData.ts";
import { federationOf, runBaseline } from "../run/baseline.ts";
import type { BaselinePoint } from "../run/baselineResult.ts";
import type { RunConfig } from "../run/config.ts";
import { runFiles } from "../run/directory.ts";
import { fleetOf } from "../run/fleet.ts";
import type { RunOptions } from "../run/options.ts";
import type { PreparedRun } from "../run/prepare.ts";
import type { RunResult } from "../run/result.ts";
import { run } from "../run/run.ts";
import { subModelSettings, trainingSettings } from "../run/trainingSettings.ts";
import { trainOne } from "../run/trainOne.ts";
import type { TrainingSettings } from "../train/job.ts";
import type { PaperJob } from "./jobs.ts";
import { joinedOf, trainJoint } from "./joint.ts";
import { centralId, type MethodKind, slimId } from "./methods.ts";
import type { Measured, Measurement } from "./record.ts";

/** What an estimate is made from; the plan is made only where it is asked for, and may not exist. */
export interface EstimateBasis {
  readonly target: Network;
  readonly train: Dataset;
  prepared(): PreparedRun;
}

/** How a kind is run. */
export interface Kind {
  /** Runs or resumes a job in its run directory. */
  run(options: RunOptions, job: PaperJob): Promise<Measured>;
  /** MACs that a job trains, as far as its plan tells; evaluation and statistics of baselines are left out. */
  macs(job: PaperJob, basis: EstimateBasis): number;
  /** The words of a command that trains the same; undefined where only `sheaf paper` does. */
  command(job: PaperJob): string | undefined;
}

/** What one training in one place would take on the fleet's fastest device. */
function fastestSeconds(config: RunConfig, macs: number): number {
  // The classes that devices prefer play no part, and their names are not known here.
  const devices = config.fleet.devices.map(({ classes: _, ...device }) => device);
  const fleet = fleetOf({ ...config, fleet: { ...config.fleet, devices } }, []);
  return macs / Math.max(...fleet.map(({ profile }) => profile.macsPerSecond));
}

/** The slim control beside a run: one network that sees all data. */
function slimOf(result: RunResult, config: RunConfig, prepared: PreparedRun): readonly Measurement[] {
  const { slim } = result.accuracy;
  if (slim === undefined) return [];
  const network = narrow(prepared.target, prepared.slimWidth);
  const { parameters } = networkCost(network);
  const computeMacs = trainingMacs(network, subModelSettings(config)) * result.dataSet.train;
  const ratio = result.compute.centralMacs / computeMacs;
  return [
    {
      method: slimId,
      accuracy: slim,
      balancedAccuracy: result.balancedAccuracy.slim ?? slim,
      ratio: { min: ratio, median: ratio, max: ratio },
      computeMacs,
      virtualSeconds: fastestSeconds(config, computeMacs),
      parameters,
    },
  ];
}

/** What is measured of the branches themselves, of a head that is made on any of them. */
function extras(result: RunResult, head: string): Pick<Measurement, "settlePasses" | "lostDevices"> {
  if (head !== "H0" && head !== "H2") return {};
  const { settlePasses, lostDevices } = result;
  const sizes = [...new Set(lostDevices.map(({ devices }) => devices.length))];
  const lost = sizes.map((size) => ({
    lost: size,
    accuracies: lostDevices.filter(({ devices }) => devices.length === size).map((set) => set[head]),
  }));
  return {
    ...(settlePasses ? { settlePasses: settlePasses.map((pass) => pass[head]) } : {}),
    ...(lost.length > 0 ? { lostDevices: lost } : {}),
  };
}

async function runSheaf(options: RunOptions): Promise<Measured> {
  let prepared: PreparedRun | undefined;
  const result = await run({
    ...options,
    onEvent(event) {
      if (event.type === "planned") ({ prepared } = event);
      options.onEvent?.(event);
    },
  });
  const report = JSON.parse(await readFile(join(options.out, runFiles.reportData), "utf8")) as ReportData;
  const ends = report.devices.flatMap(({ timeline }) => timeline.map(({ endSeconds }) => endSeconds));
  const heads = Object.entries(result.accuracy).filter(([id]) => id !== slimId && id !== centralId);
  const measurements = heads.map(([head, accuracy]): Measurement => {
    const parameters = report.heads.find(({ id }) => id === head)?.parameters;
    return {
      head,
      accuracy: accuracy as number,
      balancedAccuracy: result.balancedAccuracy[head as keyof RunResult["accuracy"]] ?? accuracy,
      ratio: result.compute.ratio,
      computeMacs: result.compute.fleetMacs,
      bytesDown: result.bytes.down,
      bytesUp: result.bytes.up,
      ...(ends.length > 0 ? { virtualSeconds: Math.max(...ends) } : {}),
      ...(parameters === undefined ? {} : { parameters }),
      ...extras(result, head),
    };
  });
  const slim = prepared ? slimOf(result, options.config, prepared) : [];
  return { evaluatedOn: result.evaluatedOn, measurements: [...slim, ...measurements] };
}

async function runCentral(options: RunOptions): Promise<Measured> {
  const result = await trainOne(options);
  const { accuracy, balancedAccuracy, evaluatedOn, computeMacs, parameters } = result;
  const virtualSeconds = fastestSeconds(options.config, computeMacs);
  const ratio = { min: 1, median: 1, max: 1 };
  return { evaluatedOn, measurements: [{ accuracy, balancedAccuracy, ratio, computeMacs, virtualSeconds, parameters }] };
}

async function runJoint(options: RunOptions): Promise<Measured> {
  const { evaluatedOn, accuracy, balancedAccuracy, computeMacs, parameters } = await trainJoint(options);
  return { evaluatedOn, measurements: [{ accuracy, balancedAccuracy, computeMacs, parameters }] };
}

async function runOneBaseline({ onEvent, ...options }: RunOptions, { baseline }: PaperJob): Promise<Measured> {
  const result = await runBaseline({
    ...options,
    method: baseline as BaselineName,
    onEvent(event) {
      if (event.type !== "round") onEvent?.(event);
    },
  });
  const { accuracy, balancedAccuracy, evaluatedOn, rounds, virtualSeconds, compute, bytes, model } = result;
  const { parameters } = model;
  const moved = { bytesDown: bytes.down, bytesUp: bytes.up };
  const common = { ratio: compute.ratio, computeMacs: compute.fleetMacs, ...moved, rounds, virtualSeconds, parameters };
  return { evaluatedOn, measurements: [{ accuracy, balancedAccuracy, ...common, curve: timedPoints(result.curve) }] };
}

/** The rounds after which the model was evaluated. */
const timedPoints = (curve: readonly BaselinePoint[]): NonNullable<Measurement["curve"]> =>
  curve.flatMap(({ virtualSeconds, accuracy }) => (accuracy === undefined ? [] : [{ virtualSeconds, accuracy }]));

/** Multiply-adds of training a network on all samples. */
const onAll = (network: Network, settings: TrainingSettings, { train }: EstimateBasis): number =>
  trainingMacs(network, settings) * train.labels.length;

/** Of a run: what its plan charges the devices with, and the slim control beside it. */
function macsOfRun(job: PaperJob, basis: EstimateBasis): number {
  const { devices, slimWidth } = basis.prepared();
  const fleet = devices.reduce((sum, { expected }) => sum + expected.compute.total, 0);
  return fleet + (job.config.controls.slim ? onAll(narrow(basis.target, slimWidth), subModelSettings(job.config), basis) : 0);
}

/** Of a baseline: every client's samples through the network that it trains. */
function macsOfBaseline({ baseline: name, config }: PaperJob, { target, train, prepared }: EstimateBasis): number {
  const federation = federationOf(config, prepared(), train);
  const { width, rounds, localEpochs, participation } = federation.options;
  const whole = name === "fedAvg" || name === "fedProx";
  const { oneShot, clients } = baselines[name as BaselineName];
  const epochs = oneShot ? config.training.epochs : rounds * localEpochs * participation;
  return clients(federation).reduce((sum, { widths, samples }) => {
    const network = narrow(target, width ?? (whole ? 1 : widths));
    return sum + forwardsPerTrainingStep * networkCost(network).macs * samples.length * epochs;
  }, 0);
}

/** The kinds of methods. */
export const kinds: { readonly [K in MethodKind]: Kind } = {
  central: {
    run: runCentral,
    macs: ({ config }, basis) => onAll(basis.target, trainingSettings(config, "wide"), basis),
    command: () => "train",
  },
  sheaf: { run: runSheaf, macs: macsOfRun, command: () => "run" },
  joint: {
    run: runJoint,
    macs: ({ config }, basis) => onAll(joinedOf(basis.prepared(), basis.train), trainingSettings(config, "narrow"), basis),
    command: () => undefined,
  },
  baseline: { run: runOneBaseline, macs: macsOfBaseline, command: ({ baseline }) => `baseline ${baseline}` },
};
