/** The engine of all baselines: round after round, work handed out, trained by whatever the platform brings, put together, and charged. */
import type { CurvePoint, TrainingJob } from "../train/job.ts";
import { random, shuffle } from "../util/random.ts";
import type { Tensor } from "../util/tensor.ts";
import type { BaselineMethod, Client, Federation, LocalWork, RoundContext, ServerState } from "./federation.ts";
import { type LedgerState, openLedger } from "./ledger.ts";

/** What a round left. */
export interface RoundRecord {
  /** From 1; the round of calibration is one more than the last. */
  readonly round: number;
  /** Mean over its trainings of the last epoch's loss and accuracy; of calibration, undefined. */
  readonly loss?: number;
  readonly trainingAccuracy?: number;
}

/** Where a baseline stands between two rounds: all that it needs to go on as if it had never stopped. */
export interface Progress {
  /** Rounds done, that of calibration included. */
  readonly done: number;
  readonly state: ServerState;
  readonly ledger: LedgerState;
}

/** What a round needs of a trained network. */
export interface Trained {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly curve: readonly CurvePoint[];
}

export interface RoundsOptions {
  /** Trains jobs side by side; results in the order of the jobs. */
  train(jobs: readonly TrainingJob[]): Promise<readonly Trained[]>;
  /** Where to go on. */
  readonly from?: Progress;
  /** Called after each round, before the next. */
  onRound?(record: RoundRecord, progress: Progress): void | Promise<void>;
}

/** Rounds of a method: as configured, one for those that train once. */
export const roundsOf = (method: BaselineMethod, { options }: Federation): number => (method.oneShot ? 1 : options.rounds);

/** The clients of a round, in their own order: a seeded draw of the configured share, at least one. */
export function participants(clients: readonly Client[], share: number, seed: number, round: number): readonly Client[] {
  const count = Math.max(1, Math.round(share * clients.length));
  if (count >= clients.length) return clients;
  const drawn = new Set(shuffle(Uint32Array.from(clients.keys()), random(seed, "participants", round)).subarray(0, count));
  return clients.filter((_, i) => drawn.has(i));
}

/** The training job of a piece of work; its random streams are its own in each round. */
export function jobOf({ dataset, seed }: Federation, work: LocalWork, round: number): TrainingJob {
  const { client, part, network, initial, samples, labels, settings } = work;
  return {
    id: part === "" ? client.id : `${client.id}.${part}`,
    network,
    dataset,
    samples,
    labels,
    settings,
    seed: round === 0 ? seed : random(seed, "round", round).int32(),
    ...(initial ? { initial } : {}),
  };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/**
 * Runs a baseline to its end and returns where it stands then. Deterministic in the federation; going on from any round's `Progress` gives the same bytes.
 * Throws what training throws.
 */
export async function runRounds(federation: Federation, method: BaselineMethod, options: RoundsOptions): Promise<Progress> {
  const clients = method.clients(federation);
  const rounds = roundsOf(method, federation);
  const ledger = openLedger(federation, clients, options.from?.ledger);
  let state = options.from?.state ?? method.start(federation);
  let done = options.from?.done ?? 0;
  const calibrates = method.calibrate !== undefined && federation.options.calibrate;
  while (done < rounds + (calibrates ? 1 : 0)) {
    const round = done;
    const calibrating = round === rounds;
    const ends: { loss: number; accuracy: number }[] = [];
    const context: RoundContext = {
      federation,
      state,
      round,
      clients: calibrating || method.oneShot ? clients : participants(clients, federation.options.participation, federation.seed, round),
      async train(works) {
        for (const work of works) ledger.charge(work);
        const results = await options.train(works.map((work) => jobOf(federation, work, round)));
        for (const { curve } of results) ends.push(...curve.slice(-1));
        return results.map(({ parameters }) => parameters);
      },
    };
    state = calibrating && method.calibrate ? await method.calibrate(context) : await method.round(context);
    ledger.endRound(!calibrating);
    done++;
    const record = calibrating
      ? { round: done }
      : { round: done, loss: mean(ends.map((end) => end.loss)), trainingAccuracy: mean(ends.map((end) => end.accuracy)) };
    await options.onRound?.(record, { done, state, ledger: ledger.state() });
  }
  return { done, state, ledger: ledger.state() };
}
