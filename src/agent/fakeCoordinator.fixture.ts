/** A coordinator in memory for this folder's tests: one queue of tasks, real leases and objects, and faults on the way to it. */
import { toySettings } from "../../test/fixtures/toyJob.ts";
import type { Dataset } from "../data/dataset.ts";
import { openMemorySamples } from "../data/samples.ts";
import { tiny } from "../models/tiny.ts";
import { narrow } from "../network/narrow.ts";
import { ProtocolError } from "../protocol/errors.ts";
import type { Completion, Heartbeat, ObjectReference, Offer, TaskFailure } from "../protocol/messages.ts";
import { ConnectionFailure, defaultTiming, interrupted, type Timing } from "../protocol/retry.ts";
import type { Branch, SettleSpec, StatisticsSpec, TaskSpec, TrainSpec } from "../protocol/tasks.ts";
import { openSession } from "../runtime/session.node.ts";
import type { TrainingSettings } from "../train/job.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { random } from "../util/random.ts";
import { type AgentEvent, type AgentOptions, type CoordinatorLink, runAgent } from "./agent.ts";
import { memoryState } from "./state.ts";

export const settings: TrainingSettings = { ...toySettings, epochs: 2, batchSize: 8 };
export const classNames = ["left", "top", "chequered"] as const;

const common = { seed: 5, classNames: [...classNames], device: "d1" };
const local = { source: "local", rho: 0.5 } as const;

function networkOf(data: Dataset, logits: number) {
  return narrow(tiny({ ...data.shape, mean: data.mean, std: data.std }, 3), 0.25, logits);
}

export function trainSpec(data: Dataset, changes: Partial<TrainSpec> = {}): TrainSpec {
  const taskSet = changes.taskSet ?? [0, 1];
  const network = networkOf(data, taskSet.length + 1);
  return { ...common, kind: "train", taskId: "train-d1", taskSet, network, settings, background: local, ...changes };
}

/** A branch of the trained spec. */
export function branchOf({ device, taskSet, network }: TrainSpec, weights: Uint8Array, counts: readonly number[]): Branch {
  const parameters = { parameters: sha256Hex(weights), parameterBytes: weights.length };
  return { device, taskSet, network, ...parameters, ownSamples: 20, backgroundSamples: 5, classCounts: counts };
}

export function statisticsSpec(branches: string, changes: Partial<StatisticsSpec> = {}): StatisticsSpec {
  return {
    ...common,
    kind: "statistics",
    taskId: "statistics-d1",
    branches,
    taskSet: [0, 1],
    background: local,
    scores: true,
    expansion: 6,
    heldOutShare: 0.25,
    heldOutFrom: "sums",
    ...changes,
  };
}

export function settleSpec(branches: string, changes: Partial<SettleSpec> = {}): SettleSpec {
  const base = { ...common, kind: "settle", taskId: "settle-d1", pass: 1, taskSet: [0, 1], branches } as const;
  return { ...base, settings: { ...settings, epochs: 1 }, background: local, backgroundShare: 0.5, ...changes };
}

/** Waits that take no time; a task of its own each, so that others have their turn. */
export const quickTiming: Timing = {
  ...defaultTiming,
  random: () => 0.5,
  sleep: (_, signal) =>
    new Promise((resolve, reject) => {
      setImmediate(() => (signal?.aborted ? reject(interrupted()) : resolve()));
    }),
};

type Call = keyof CoordinatorLink;
/** Throws what goes wrong; `when` is before the coordinator hears of a call or after it has done what was asked. */
export type Fault = (call: Call, when: "before" | "after", count: number) => void;

/** Fails calls at seeded random moments, the answers of some after they had their effect. */
export function cuts(seed: number, share: number): Fault {
  const source = random(seed, "cuts");
  return (call, when) => {
    if (source.uniform() < share) throw new ConnectionFailure(`The line was cut ${when} ${call}.`);
  };
}

interface Task {
  readonly spec: TaskSpec;
  readonly inputs: readonly ObjectReference[];
  completion?: Completion;
  failure?: TaskFailure;
}

export class FakeCoordinator {
  readonly objects: Map<string, Uint8Array<ArrayBuffer>> = new Map();
  readonly tasks: Task[];
  readonly leases: Map<string, Task> = new Map();
  readonly beats: Heartbeat[] = [];
  readonly failures: TaskFailure[] = [];
  /** Offers given out. */
  offers = 0;
  /** Requests of a device that may not work. */
  greetings = 0;
  /** Called when nothing is left to do. */
  onDone: () => void = () => undefined;
  /** What a heartbeat answers. */
  onBeat: (leaseId: string, count: number) => { readonly cancel: boolean } = () => ({ cancel: false });
  fault: Fault = () => undefined;
  #counts = new Map<Call, number>();

  constructor(specs: readonly TaskSpec[], objects: readonly Uint8Array<ArrayBuffer>[] = []) {
    for (const bytes of objects) this.objects.set(sha256Hex(bytes), bytes);
    const inputs = [...this.objects].map(([sha256, { length }], i) => ({ role: `input-${i}`, sha256, bytes: length }));
    this.tasks = specs.map((spec) => ({ spec, inputs }));
  }

  /** Bytes of the outputs of a task, by role. */
  outputsOf(taskId: string): ReadonlyMap<string, Uint8Array<ArrayBuffer>> {
    const { completion } = this.tasks.find(({ spec }) => spec.taskId === taskId) ?? {};
    return new Map(completion?.outputs.map(({ role, sha256 }) => [role, this.objects.get(sha256) as Uint8Array<ArrayBuffer>]));
  }

  /** Names of all outputs that were accepted. */
  get results(): readonly string[] {
    return this.tasks.flatMap(({ completion }) => completion?.outputs.map(({ role, sha256 }) => `${role} ${sha256}`) ?? ["none"]);
  }

  /** Takes a lease away. */
  lapse(leaseId: string): void {
    this.leases.delete(leaseId);
  }

  #leaseOf(leaseId: string): Task {
    const task = this.leases.get(leaseId);
    if (!task) throw new ProtocolError("leaseLost", `Lease ${leaseId} has lapsed.`);
    return task;
  }

  link(): CoordinatorLink {
    const around = async <T>(call: Call, signal: AbortSignal, act: (count: number) => T): Promise<T> => {
      await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) throw interrupted();
      const count = (this.#counts.get(call) ?? 0) + 1;
      this.#counts.set(call, count);
      this.fault(call, "before", count);
      const answer = act(count);
      this.fault(call, "after", count);
      return answer;
    };
    return {
      offer: ({ capabilities }, signal) =>
        around("offer", signal, () => {
          if (capabilities.kinds.length === 0) {
            this.greetings++;
            return { offer: null, retryAfterMs: 0, now: 0 };
          }
          const open = this.tasks.find(({ completion, failure }) => !completion && !failure);
          if (!open) this.onDone();
          return { offer: open ? this.#lease(open) : null, retryAfterMs: 0, now: 0 };
        }),
      heartbeat: (leaseId, beat, signal) =>
        around("heartbeat", signal, (count) => {
          this.beats.push(beat);
          const { cancel } = this.onBeat(leaseId, count);
          this.#leaseOf(leaseId);
          return { expiresAt: 1, cancel, now: 0 };
        }),
      complete: (leaseId, completion, signal) =>
        around("complete", signal, () => {
          const task = this.#leaseOf(leaseId);
          for (const { sha256, bytes } of completion.outputs) {
            if (this.objects.get(sha256)?.length !== bytes) throw new Error(`Object ${sha256} was not uploaded.`);
          }
          const outputs = JSON.stringify(completion.outputs);
          if (task.completion && JSON.stringify(task.completion.outputs) !== outputs) throw new Error("Two results of one lease.");
          task.completion = completion;
          return { accepted: true };
        }),
      fail: (leaseId, failure, signal) =>
        around("fail", signal, () => {
          const task = this.#leaseOf(leaseId);
          this.failures.push(failure);
          this.leases.delete(leaseId);
          if (!failure.retry) task.failure = failure;
          return {};
        }),
      download: async ({ sha256, bytes }, sink, signal) => {
        for (;;) {
          const done = await around("download", signal, () => this.objects.get(sha256) as Uint8Array);
          if (sink.length < bytes) await sink.append(done.subarray(sink.length, Math.min(bytes, sink.length + 2000)));
          if (sink.length === bytes) return;
        }
      },
      upload: (bytes, signal) => around("upload", signal, () => void this.objects.set(sha256Hex(bytes), new Uint8Array(bytes))),
    };
  }

  /** A device that holds a lease on it is given the same lease again. */
  #lease(task: Task): Offer {
    const held = [...this.leases].find(([, leased]) => leased === task)?.[0];
    const leaseId = held ?? `lease-${++this.offers}`;
    this.leases.set(leaseId, task);
    const { spec, inputs } = task;
    return { leaseId, runId: "run1", kind: spec.kind, spec, inputs, expiresAt: 1, heartbeatMs: 1000 };
  }
}

/** Options of an agent that checkpoints at every step and stops when the coordinator has nothing left. */
export function agentOptions(
  coordinator: FakeCoordinator,
  data: Dataset,
  changes: Partial<AgentOptions> = {},
): AgentOptions & { readonly events: AgentEvent[]; readonly stop: () => void } {
  const controller = new AbortController();
  const events: AgentEvent[] = [];
  const stop = (): void => controller.abort();
  coordinator.onDone = stop;
  return {
    link: coordinator.link(),
    state: memoryState(),
    data,
    openSamples: openMemorySamples,
    openSession,
    limits: {},
    conditions: async () => ({ minuteOfDay: 0, isOnPower: true }),
    timing: quickTiming,
    checkpointSeconds: 1e-9,
    privateCounts: false,
    onEvent: (event) => void events.push(event),
    signal: controller.signal,
    events,
    stop,
    ...changes,
  };
}

/** Events of a type. */
export const ofType = <T extends AgentEvent["type"]>(events: readonly AgentEvent[], type: T): Extract<AgentEvent, { readonly type: T }>[] =>
  events.filter((event): event is Extract<AgentEvent, { readonly type: T }> => event.type === type);

/** An agent lives with the given changes to the end of all tasks. */
export async function liveAgent(
  coordinator: FakeCoordinator,
  data: Dataset,
  changes: Partial<AgentOptions> = {},
): Promise<readonly AgentEvent[]> {
  const options = agentOptions(coordinator, data, changes);
  await runAgent(options);
  return options.events;
}
