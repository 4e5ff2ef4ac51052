/** What each client computed and moved, and how long the rounds took on the fleet's profiles: a barrier at the end of each. */
import { networkCost, outputShape } from "../network/shapes.ts";
import { branchCost, expectedCost, forwardsPerTrainingStep } from "../plan/cost.ts";
import type { Client, Federation, LocalWork } from "./federation.ts";

/** One client's account so far; multiply-adds, a training step counted as three forward passes. */
export interface ClientAccount {
  readonly id: string;
  /** Rounds that it took part in, that of calibration not counted. */
  readonly rounds: number;
  readonly totalMacs: number;
  readonly bytesDown: number;
  readonly bytesUp: number;
  /** Seconds that it computed and moved bytes; the rest it waited for others. */
  readonly busySeconds: number;
  /** Most memory that one of its trainings needs. */
  readonly memoryBytes: number;
}

/** Accounts as plain data, kept between rounds. */
export interface LedgerState {
  readonly accounts: readonly ClientAccount[];
  /** Sum over rounds of the slowest client's time. */
  readonly virtualSeconds: number;
}

/** Adds up a baseline's costs. */
export interface Ledger {
  charge(work: LocalWork): void;
  /** Ends a round: everybody waits for the slowest. `counts` is false for the round of calibration. */
  endRound(counts: boolean): void;
  state(): LedgerState;
}

const fresh = (id: string): ClientAccount => ({ id, rounds: 0, totalMacs: 0, bytesDown: 0, bytesUp: 0, busySeconds: 0, memoryBytes: 0 });

/** A ledger for `clients`, going on from an earlier state. */
export function openLedger({ target }: Federation, clients: readonly Client[], before?: LedgerState): Ledger {
  const accounts = new Map((before?.accounts ?? clients.map(({ id }) => fresh(id))).map((account) => [account.id, account]));
  const targetMacs = networkCost(target).macs;
  const classCount = outputShape(target).channels;
  let virtualSeconds = before?.virtualSeconds ?? 0;
  let thisRound = new Map<string, number>();
  return {
    charge({ client, network, samples, settings, exchange, forwardOnly = false }) {
      const { epochs, batchSize } = settings;
      const workload = { ownSamples: samples.length, backgroundSamples: 0, epochs, batchSize, targetMacs, classCount };
      const { compute, memoryBytes } = expectedCost(branchCost(network), workload, client.profile, undefined);
      const macs = forwardOnly ? compute.total / forwardsPerTrainingStep : compute.total;
      const bytes = exchange ? branchCost(exchange).weightBytes : 0;
      const seconds = macs / client.profile.macsPerSecond + (2 * 8 * bytes) / client.profile.bandwidthBitsPerSecond;
      const account = accounts.get(client.id) ?? fresh(client.id);
      accounts.set(client.id, {
        ...account,
        totalMacs: account.totalMacs + macs,
        bytesDown: account.bytesDown + bytes,
        bytesUp: account.bytesUp + bytes,
        busySeconds: account.busySeconds + seconds,
        memoryBytes: Math.max(account.memoryBytes, memoryBytes),
      });
      thisRound.set(client.id, (thisRound.get(client.id) ?? 0) + seconds);
    },
    endRound(counts) {
      virtualSeconds += Math.max(0, ...thisRound.values());
      for (const id of counts ? thisRound.keys() : []) {
        const account = accounts.get(id) as ClientAccount;
        accounts.set(id, { ...account, rounds: account.rounds + 1 });
      }
      thisRound = new Map();
    },
    state: () => ({ accounts: [...accounts.values()], virtualSeconds }),
  };
}
