/** What a run comes to: the object that `sheaf run --json` prints, and all that the report is made from. */

import { join } from "node:path";
import type { Harvested } from "../harvest/harvested.ts";
import type { HeadType } from "../harvest/heads.ts";
import type { Network } from "../network/network.ts";
import { networkCost } from "../network/shapes.ts";
import { trainingMacs } from "../plan/cost.ts";
import type { Evaluation } from "../train/evaluate.ts";
import type { BranchAccuracy } from "./branches.ts";
import type { RunConfig } from "./config.ts";
import { runFiles } from "./directory.ts";
import type { EvaluatedHead } from "./heads.ts";
import type { LoadedData } from "./loadData.ts";
import type { LostDevices } from "./lostDevices.ts";
import { type PreparedDevice, type PreparedRun, spread } from "./prepare.ts";
import { type SettlePass, skippedIn } from "./settle.ts";
import { trainingSettings } from "./trainingSettings.ts";
import type { FinishedJob } from "./trainJobs.ts";

/** Everything that a run has found out. */
export interface RunOutcome {
  readonly config: RunConfig;
  readonly data: LoadedData;
  readonly prepared: PreparedRun;
  readonly results: ReadonlyMap<string, FinishedJob>;
  /** The branches of the global model, settled where that is configured. */
  readonly harvested: readonly Harvested[];
  /** Before the first settle pass and after each but the last; empty without settling. */
  readonly earlierPasses: readonly SettlePass[];
  readonly rejected: ReadonlyMap<string, string>;
  readonly heads: readonly EvaluatedHead[];
  readonly controls: readonly { readonly id: "central" | "slim"; readonly network: Network; readonly evaluation: Evaluation }[];
  readonly ownAccuracy: readonly BranchAccuracy[];
  readonly lostDevices: readonly LostDevices[];
  readonly modelSha256: string;
}

/** What one device computed and moved; MACs, a training step counted as three forward passes. */
export interface DeviceAccount {
  readonly id: string;
  readonly trainOwnMacs: number;
  readonly trainBackgroundMacs: number;
  readonly statisticsMacs: number;
  /** Running a trained target forward to see which filters fire for which classes; 0 without a warm start. */
  readonly warmStartMacs: number;
  /** Settle passes: the others' branches run forward over the device's samples, and training against them; 0 without. */
  readonly settleMacs: number;
  readonly totalMacs: number;
  /** Training the full target on the device's own samples for the same epochs. */
  readonly fullTargetMacs: number;
  /** `fullTargetMacs` over `totalMacs`: the headline ratio. */
  readonly ratio: number;
  /** The same with the full target trained on the background samples too: beside the headline, never instead of it. */
  readonly ratioOnSameSamples: number;
  readonly bytesDown: number;
  readonly bytesUp: number;
}

/** The object that `sheaf run --json` ends in. Accuracies are fractions of the test samples. */
export interface RunResult {
  readonly format: "sheaf-run/1";
  readonly accuracy: {
    readonly central?: number;
    readonly slim?: number;
    readonly H0: number;
    readonly H1: number;
    readonly H2: number;
  } & {
    readonly [T in "H3" | "H4" | "H5"]?: number;
  };
  /** Means of the accuracies of the classes; these count where the test has unequal numbers of samples. */
  readonly balancedAccuracy: RunResult["accuracy"];
  /** The samples that accuracies are of. */
  readonly evaluatedOn: "test" | "validation";
  readonly head: HeadType;
  /** Ridge of H2 to H4 and shrinkage of H5, by head. */
  readonly ridges: { readonly [T in HeadType]?: number };
  /** What the task sets are worth as a code; see `Plan`. */
  readonly code: { readonly redundancy: number; readonly leastDistance: number; readonly correctedErasures: number };
  /** Accuracies without some devices: every single one, then larger sets. */
  readonly lostDevices: readonly LostDevices[];
  readonly compute: {
    readonly ratio: { readonly min: number; readonly median: number; readonly max: number };
    readonly byDevice: readonly DeviceAccount[];
    /** All devices together. */
    readonly fleetMacs: number;
    /** Central training of the target on all samples for the same epochs. */
    readonly centralMacs: number;
  };
  readonly bytes: { readonly down: number; readonly up: number; readonly model: number };
  /** Accuracies before the first settle pass (pass 0) and after each; absent without settling. */
  readonly settlePasses?: readonly SettlePass[];
  readonly ownClassAccuracy: Readonly<Record<string, number>>;
  readonly rejected: readonly string[];
  /** Where the devices' samples for "other" came from, and how many all devices had in all. */
  readonly negatives: { readonly source: RunConfig["negatives"]; readonly rho: number; readonly samples: number };
  readonly dataSet: { readonly name: string; readonly train: number; readonly test: number };
  readonly target: { readonly network: string; readonly width: number; readonly macs: number; readonly parameters: number };
  readonly seed: number;
  readonly seconds: number;
  readonly out: string;
  readonly model: string;
  readonly modelSha256: string;
  readonly report: string;
}

/** What a device was charged with: the planner's cost of the samples that it really had. */
export function accountOf({ planned, own, background, made, expected }: PreparedDevice): DeviceAccount {
  const { compute, fullTargetMacs, ratio, bytesDown, bytesUp } = expected;
  return {
    id: planned.id,
    trainOwnMacs: compute.own,
    trainBackgroundMacs: compute.background,
    statisticsMacs: compute.statistics,
    warmStartMacs: compute.warmStart,
    settleMacs: compute.settle,
    totalMacs: compute.total,
    fullTargetMacs,
    ratio,
    ratioOnSameSamples: ratio * (1 + (background.length + made.length) / own.length),
    bytesDown,
    bytesUp,
  };
}

/** Accuracies by settle pass, the last being that of the run itself; none without settling. */
export function settlePassesOfRun({ config, prepared, rejected, heads, earlierPasses }: RunOutcome): readonly SettlePass[] {
  if (earlierPasses.length === 0) return [];
  const accuracy = (type: HeadType): number => heads.find((h) => h.type === type)?.evaluation.accuracy ?? 0;
  const devices = prepared.devices.map(({ planned }) => planned.id).filter((id) => !rejected.has(id));
  const pass = config.settle.passes;
  return [...earlierPasses, { pass, H0: accuracy("H0"), H2: accuracy("H2"), skipped: skippedIn(config, devices, pass) }];
}

/** The result object of a run. */
export function summarize(outcome: RunOutcome, out: string, seconds: number): RunResult {
  const { config, data, prepared, heads, controls } = outcome;
  const { plan } = prepared;
  const byDevice = prepared.devices.map(accountOf);
  const cost = networkCost(prepared.target);
  const accuracies = (kind: "accuracy" | "balancedAccuracy"): RunResult["accuracy"] => {
    const of = (type: HeadType): number => heads.find((h) => h.type === type)?.evaluation[kind] ?? 0;
    const controlled = Object.fromEntries(controls.map(({ id, evaluation }) => [id, evaluation[kind]]));
    const made = Object.fromEntries(heads.map(({ type, evaluation }) => [type, evaluation[kind]]));
    return { ...controlled, ...made, H0: of("H0"), H1: of("H1"), H2: of("H2") };
  };
  const sum = (value: (account: DeviceAccount) => number): number => byDevice.reduce((total, account) => total + value(account), 0);
  return {
    format: "sheaf-run/1",
    accuracy: accuracies("accuracy"),
    balancedAccuracy: accuracies("balancedAccuracy"),
    evaluatedOn: data.evaluatedOn,
    head: config.head,
    ridges: Object.fromEntries(heads.flatMap(({ type, ridge }) => (ridge === undefined ? [] : [[type, ridge]]))),
    code: { redundancy: plan.redundancy, leastDistance: plan.leastDistance, correctedErasures: plan.correctedErasures },
    lostDevices: outcome.lostDevices,
    compute: {
      ratio: spread(byDevice.map((account) => account.ratio)),
      byDevice,
      fleetMacs: sum((account) => account.totalMacs),
      centralMacs: trainingMacs(prepared.target, trainingSettings(config, "wide")) * data.train.labels.length,
    },
    bytes: {
      down: sum((a) => a.bytesDown),
      up: sum((a) => a.bytesUp),
      model: heads.find((h) => h.type === config.head)?.model.length ?? 0,
    },
    ...(outcome.earlierPasses.length > 0 ? { settlePasses: settlePassesOfRun(outcome) } : {}),
    ownClassAccuracy: Object.fromEntries(outcome.ownAccuracy.map(({ device, own }) => [device, own])),
    rejected: [...outcome.rejected.keys()],
    negatives: {
      source: config.negatives,
      rho: config.rho,
      samples: prepared.devices.reduce((total, { background, made }) => total + background.length + made.length, 0),
    },
    dataSet: { name: data.train.name, train: data.train.labels.length, test: data.test.labels.length },
    target: { network: prepared.target.name, width: config.target.width, macs: cost.macs, parameters: cost.parameters },
    seed: config.seed,
    seconds: Math.round(seconds * 10) / 10,
    out,
    model: join(out, runFiles.model),
    modelSha256: outcome.modelSha256,
    report: join(out, runFiles.report),
  };
}
