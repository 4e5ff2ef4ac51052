/** What a baseline comes to: the object that `sheaf baseline --json` prints. */

import type { Client } from "../baselines/federation.ts";
import type { ClientAccount, LedgerState } from "../baselines/ledger.ts";
import type { BaselineName } from "../baselines/table.ts";
import { forwardsPerTrainingStep } from "../plan/cost.ts";
import { spread } from "./prepare.ts";

/** A client's account, beside what training the full target on its own samples would cost it. */
export interface BaselineAccount extends ClientAccount {
  /** Training the full target on the device's own samples for `training.epochs`; the same as in a run. */
  readonly fullTargetMacs: number;
  /** `fullTargetMacs` over `totalMacs`. */
  readonly ratio: number;
  /** The same with the full target trained on all samples that the client trains on. */
  readonly ratioOnSameSamples: number;
  /** Whether the device's memory is enough for what it had to train. */
  readonly fits: boolean;
}

/** One round of a baseline's curve. */
export interface BaselinePoint {
  /** From 1; that of calibration is one more than the last. */
  readonly round: number;
  /** Seconds on the virtual fleet since the start, each round as long as its slowest client. */
  readonly virtualSeconds: number;
  /** All clients together, since the start. */
  readonly fleetMacs: number;
  readonly loss?: number;
  readonly trainingAccuracy?: number;
  /** Of the server's model on the evaluated samples, where it was evaluated. */
  readonly accuracy?: number;
}

/** The object that `sheaf baseline --json` ends in. Accuracies are fractions of the evaluated samples. */
export interface BaselineResult {
  readonly format: "sheaf-baseline/1";
  readonly method: BaselineName;
  readonly title: string;
  readonly paper: string;
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  readonly evaluatedOn: "test" | "validation";
  readonly perClass: readonly number[];
  readonly rounds: number;
  readonly curve: readonly BaselinePoint[];
  readonly virtualSeconds: number;
  readonly compute: {
    readonly ratio: { readonly min: number; readonly median: number; readonly max: number };
    readonly byDevice: readonly BaselineAccount[];
    readonly fleetMacs: number;
    readonly centralMacs: number;
  };
  readonly bytes: { readonly down: number; readonly up: number; readonly model: number };
  /** Of the model that answers. */
  readonly model: {
    readonly file: string;
    readonly sha256: string;
    readonly macs: number;
    readonly parameters: number;
    readonly networks: number;
  };
  readonly dataSet: { readonly name: string; readonly train: number; readonly test: number };
  readonly target: { readonly network: string; readonly width: number; readonly macs: number; readonly parameters: number };
  readonly seed: number;
  readonly seconds: number;
  readonly out: string;
}

/** Accounts of all clients, and what they add up to. */
export function accountsOf(
  clients: readonly Client[],
  { accounts }: LedgerState,
  targetMacs: number,
  epochs: number,
): Pick<BaselineResult["compute"], "ratio" | "byDevice" | "fleetMacs"> & { readonly down: number; readonly up: number } {
  const byDevice = clients.map((client): BaselineAccount => {
    const account = accounts.find(({ id }) => id === client.id) as ClientAccount;
    const fullTargetMacs = forwardsPerTrainingStep * targetMacs * epochs * client.ownSamples;
    const ratio = account.totalMacs > 0 ? fullTargetMacs / account.totalMacs : 0;
    return {
      ...account,
      fullTargetMacs,
      ratio,
      ratioOnSameSamples: (ratio * client.samples.length) / client.ownSamples,
      fits: account.memoryBytes <= client.profile.memoryBytes,
    };
  });
  const sum = (value: (account: BaselineAccount) => number): number => byDevice.reduce((total, account) => total + value(account), 0);
  // Who never took part computed nothing, and has no ratio.
  const ratios = byDevice.filter(({ totalMacs }) => totalMacs > 0).map(({ ratio }) => ratio);
  return { ratio: spread(ratios), byDevice, fleetMacs: sum((a) => a.totalMacs), down: sum((a) => a.bytesDown), up: sum((a) => a.bytesUp) };
}
