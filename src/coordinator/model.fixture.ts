/** A small fleet in virtual time for this folder's tests: a run's definition, a planner that deals classes by name, and a coordinator that can be restarted from its log. */

import { models } from "../models/table.ts";
import type { Network } from "../network/network.ts";
import type { DataSummary } from "../protocol/messages.ts";
import type { CommandOf, CommandType, Decision, Refusal, Replies } from "./commands.ts";
import { judgementOf } from "./decide.ts";
import type { Event, FleetPolicy, RunDefinition, RunWork, Slot } from "./events.ts";
import { execute, outstanding } from "./execute.ts";
import { foldAll } from "./fold.ts";
import { forgetLeases, type Liveness, note, openLiveness } from "./liveness.ts";
import type { Planner } from "./progress.ts";
import { emptyState, type State } from "./state.ts";

export const classNames: readonly string[] = ["zero", "one", "two", "three"];
export const sampleShape = { channels: 1, height: 8, width: 8 } as const;

const settings = {
  epochs: 1,
  batchSize: 8,
  optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0 },
  schedule: { type: "constant", learningRate: 0.1 },
  labelSmoothing: 0,
  emaDecay: 0,
  augmentation: { crop: 0, flip: false, cutout: 0 },
} as const;

export const policy: FleetPolicy = {
  minimumDevices: 3,
  minimumOwners: 1,
  heartbeatSeconds: 15,
  leaseSeconds: 60,
  substituteAfterSeconds: 120,
  stragglerFactor: 3,
  giveUpAfterSeconds: 3600,
  maximumAttempts: 30,
  minimumSampleShare: 0.5,
};

export const target: Network = models.tiny.build({ ...sampleShape, mean: [0], std: [1] }, classNames.length);

export function definitionOf(work: Partial<RunWork> = {}, changes: Partial<FleetPolicy> = {}): RunDefinition {
  return {
    name: "night",
    seed: 7,
    classNames,
    sampleShape,
    target,
    planning: { redundancy: 1, rho: 0.25, epochs: 1, batchSize: 8 },
    work: { training: settings, background: { source: "local", rho: 0.25 }, statistics: { scores: false, expansion: 0 }, ...work },
    policy: { ...policy, ...changes },
    config: {},
  };
}

export const settleWork = (order: "sequential" | "together", passes = 2): Partial<RunWork> => ({
  settle: { passes, order, settings, backgroundShare: 1 },
});

export const dataOf = (counts: readonly number[], fingerprint: string = "f".repeat(64)): DataSummary => ({
  classNames,
  counts,
  sampleShape,
  fingerprint,
});

/** Each device gets the classes whose number is its place in turn; costs are 100 s of training. */
export const dealByTurn: Planner = (_, devices, missing) => ({
  type: "planned",
  excluded: [],
  slots: devices.map(({ deviceId }, i): Slot => {
    const taskSet = classNames.flatMap((_, c) => (c % devices.length === i % classNames.length && !missing.includes(c) ? [c] : []));
    return {
      slot: `d${i + 1}`,
      deviceId,
      taskSet: taskSet.length > 0 ? taskSet : [i % classNames.length],
      widths: 0.5,
      size: 0.5,
      ownSamples: 10,
      backgroundSamples: 5,
      macs: { train: 1e11, statistics: 1e10, settle: 5e10 },
      memoryBytes: 1e6,
      bytesDown: 0,
      bytesUp: 0,
      ratio: 10,
    };
  }),
});

/** A coordinator with its log in memory and the time in the test's hand. */
export class TestCoordinator {
  readonly log: Event[] = [];
  state: State = emptyState;
  now: number;
  liveness: Liveness;
  #ids = 0;
  readonly #planner: Planner;

  constructor(now = 1_000_000, planner: Planner = dealByTurn) {
    this.now = now;
    this.liveness = openLiveness(now);
    this.#planner = planner;
  }

  /** Carries a command through; a refusal comes back as it is. */
  try<T extends CommandType>(command: CommandOf<T>): Decision<Replies[T]> {
    const context = { now: this.now, newId: () => `id${++this.#ids}`, liveness: this.liveness, planner: this.#planner };
    const result = execute(this.state, command, context);
    if (!result.ok) return result;
    this.log.push(...result.events);
    this.state = result.state;
    note(this.liveness, result.signs, this.now);
    return { ok: true, facts: [], reply: result.reply, signs: result.signs };
  }

  /** As `try`, for what must not be refused. */
  do<T extends CommandType>(command: CommandOf<T>): Replies[T] {
    const result = this.try(command);
    if (!result.ok) throw new Error(`${command.type} was refused: ${(result as Refusal).message}`);
    return result.reply;
  }

  wait(seconds: number): void {
    this.now += 1000 * seconds;
    this.do({ type: "tick" });
    forgetLeases(this.liveness, this.state.leases);
  }

  /** Killed and started again: all that was not in the log is gone. */
  restart(): void {
    this.state = foldAll(this.log);
    this.liveness = openLiveness(this.now);
  }

  enrol(name: string, counts: readonly number[] = [10, 10, 10, 10], fingerprint: string = name): string {
    const profile = { macsPerSecond: 1e9, memoryBytes: 1e9, bandwidthBitsPerSecond: 1e6 };
    return this.do({ type: "enrol", publicKey: `key of ${name}`, name, profile, data: dataOf(counts, fingerprint), software: "test" })
      .deviceId;
  }

  ask(deviceId: string): Replies["requestOffer"]["assignment"] {
    return this.do({ type: "requestOffer", deviceId, capabilities: { kinds: ["train", "statistics", "settle"] } }).assignment;
  }

  /** Brings a result for a lease, through a gate that accepts all, and gives the answer. */
  complete(deviceId: string, leaseId: string, content: string, accepted = true): Replies["complete"] {
    const outputs = [{ role: "parameters", sha256: content, bytes: 1 }];
    return this.do({
      type: "complete",
      deviceId,
      leaseId,
      outputs,
      measured: { seconds: 1, macs: 1, samples: 1 },
      use: { ownSamples: 10, backgroundSamples: 5, classCounts: [4, 4, 4, 3] },
      verdict: accepted ? { accepted } : { accepted, reason: "It is broken." },
    });
  }

  judgement(deviceId: string, leaseId: string, content: string): ReturnType<typeof judgementOf> {
    return judgementOf(this.state, { deviceId, leaseId, outputs: [{ role: "parameters", sha256: content, bytes: 1 }] });
  }

  /** What the rim does when it is asked: a model whose name tells what is in it. */
  assemble(): void {
    for (const work of outstanding(this.state)) {
      const outputs = [{ role: "model", sha256: `model of ${resultsOf(this.state, work.runId)}`, bytes: 1 }];
      this.do(
        work.type === "assemble"
          ? { type: "runAssembled", runId: work.runId, outputs }
          : { type: "harvestMade", runId: work.runId, harvestId: work.harvestId, outputs, head: "H0" },
      );
    }
  }
}

/** Accepted results of a run as text, by task id. */
export function resultsOf(state: State, runId: string): string {
  const tasks = [...(state.runs.get(runId)?.tasks.values() ?? [])].filter(({ result }) => result);
  return tasks
    .map(({ taskId, result }) => `${taskId}=${result?.outputs.map(({ sha256 }) => sha256).join("+")}`)
    .sort()
    .join(" ");
}

/** A state as plain data, for comparing. */
export function plain(state: State): unknown {
  return JSON.parse(
    JSON.stringify(state, (_, value: unknown) => (value === Number.POSITIVE_INFINITY ? "never" : value)),
    (_, value: unknown) =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
        : value,
  );
}
