/**
 * A device whose training is not done but timed: it asks, downloads, computes, uploads, hands in and beats as an agent does, at the speed of its
 * profile and its trace. The cost model says how much there is to do. What it knows of the coordinator is what it is answered.
 */
import type { Assignment } from "../coordinator/commands.ts";
import type { RunDefinition, Slot } from "../coordinator/events.ts";
import { retryAfterMs } from "../coordinator/idle.ts";
import { parametersRole } from "../coordinator/spec.ts";
import { narrow } from "../network/narrow.ts";
import { branchCost } from "../plan/cost.ts";
import type { DataSummary } from "../protocol/messages.ts";
import { type TaskKind, taskKinds } from "../protocol/tasks.ts";
import { sha256Hex } from "../util/hash.node.ts";
import type { DeviceAccount } from "./outcome.ts";
import type { Interval } from "./trace.ts";
import type { VirtualCoordinator } from "./virtualCoordinator.ts";
import type { VirtualDevice } from "./virtualFleet.ts";

/** What a task asks of a device: bits down, multiply-adds, bits up, one after another. */
type Amounts = readonly [downBits: number, macs: number, upBits: number];

/** What devices share: the coordinator, the clock's queue, and what does not change. */
export interface StubbedWorld {
  readonly coordinator: VirtualCoordinator;
  readonly definition: RunDefinition;
  /** How long one exchange with the coordinator takes. */
  readonly latencyMs: number;
  readonly checkpointMs: number;
  /** Longest wait for an offer. */
  readonly waitMs: number;
  /** Asks for `device.happen(what, generation, timeMs)` at a time. */
  readonly at: (timeMs: number, device: StubbedDevice, generation: number, what: Happening) => void;
  /** Devices that wait for work, by id, in the order in which they began to. */
  readonly waiting: Map<string, StubbedDevice>;
  readonly weightBytes: (slot: Slot) => number;
}

/** What can happen to a device by the clock. */
export type Happening = "interval" | "ask" | "rest" | "beat" | "done";

interface Work {
  readonly leaseId: string;
  readonly taskId: string;
  readonly heartbeatMs: number;
  readonly slot: Slot;
  readonly kind: TaskKind;
  readonly startedMs: number;
  readonly amounts: Amounts;
}

/** Sizes of uploads by slot, looked at once for each kind of branch. */
export function weightSizes({ target }: RunDefinition): (slot: Slot) => number {
  const known = new Map<string, number>();
  return ({ size, widths, taskSet }) => {
    const key = `${size}/${taskSet.length}`;
    const bytes = known.get(key) ?? branchCost(narrow(target, widths, taskSet.length + 1)).weightBytes;
    known.set(key, bytes);
    return bytes;
  };
}

/** How much of a slot's expected cost falls on one task. */
function amountsOf({ definition, weightBytes }: StubbedWorld, kind: TaskKind, slot: Slot): Amounts {
  const inputs = (definition.work.inputs ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
  const weights = weightBytes(slot);
  const passes = Math.max(1, definition.work.settle?.passes ?? 1);
  switch (kind) {
    case "train":
      return [8 * inputs, slot.macs.train, 8 * weights];
    case "settle":
      return [8 * slot.bytesDown, slot.macs.settle / passes, 8 * weights];
    case "statistics":
      return [8 * slot.bytesDown, slot.macs.statistics, 8 * Math.max(0, slot.bytesUp - weights)];
  }
}

export class StubbedDevice {
  readonly device: VirtualDevice;
  readonly account: DeviceAccount = { bytesDown: 0, bytesUp: 0, macs: 0, busySeconds: 0 };
  deviceId: string | undefined;
  readonly #world: StubbedWorld;
  readonly #data: DataSummary;
  #place = -1;
  #interval: Interval | undefined;
  /** Rises when what was to happen will not. */
  #generation = 0;
  #work: Work | undefined;
  /** Progress that outlives a lease, as a checkpoint does: of one task. */
  #kept: { readonly taskId: string; readonly left: [number, number, number] } | undefined;
  #left: [number, number, number] = [0, 0, 0];
  #sinceMs = 0;

  constructor(device: VirtualDevice, data: DataSummary, world: StubbedWorld) {
    this.device = device;
    this.#data = data;
    this.#world = world;
    const first = device.intervals[0];
    if (first) world.at(first.fromMs, this, 0, "interval");
  }

  /** Whether it will never work again. */
  isGone(): boolean {
    return this.#interval === undefined && this.#place + 1 >= this.device.intervals.length;
  }

  happen(what: Happening, generation: number, nowMs: number): void {
    if (what === "interval") this.#change(nowMs);
    else if (generation !== this.#generation) return;
    else if (what === "ask") this.ask(nowMs);
    else if (what === "rest") this.#rest(nowMs);
    else if (what === "beat") this.#beat(nowMs);
    else this.#done(nowMs);
  }

  /** An interval begins or ends. */
  #change(nowMs: number): void {
    this.#advance(nowMs);
    this.#generation++;
    this.#world.waiting.delete(this.deviceId ?? "");
    const { intervals } = this.device;
    const wasThere = this.#interval !== undefined;
    this.#interval = undefined;
    const next = intervals[this.#place + 1];
    if (next && next.fromMs <= nowMs) {
      this.#place++;
      this.#interval = next;
      if (next.toMs < Number.POSITIVE_INFINITY) this.#world.at(next.toMs, this, 0, "interval");
      this.#begin(nowMs, wasThere);
    } else {
      // Cut off in the midst of its work: what came after the last checkpoint is lost.
      this.#fallBack(nowMs);
      if (next) this.#world.at(next.fromMs, this, 0, "interval");
    }
  }

  #begin(nowMs: number, wasThere: boolean): void {
    const { coordinator } = this.#world;
    const { name, profile } = this.device;
    if (this.deviceId === undefined) {
      const { macsPerSecond, memoryBytes, bandwidthBitsPerSecond, watts } = profile;
      const measured = { macsPerSecond, memoryBytes, bandwidthBitsPerSecond, ...(watts === undefined ? {} : { watts }) };
      const answer = coordinator.do(
        { type: "enrol", publicKey: `key of ${name}`, name, profile: measured, data: this.#data, software: "sheaf simulate" },
        nowMs,
      );
      if (!answer.ok) return;
      this.deviceId = answer.reply.deviceId;
    }
    if (this.#interval?.onPower === false) {
      this.#pause(nowMs);
      return;
    }
    if (!this.#work) {
      this.#later("ask", nowMs + this.#world.latencyMs);
      return;
    }
    this.#sinceMs = nowMs;
    // A device that comes back goes on with what it had, and learns by its first heartbeat whether anybody wants it.
    if (wasThere) this.#schedule(nowMs);
    else this.#beat(nowMs);
  }

  /** On battery: what it works on goes back. */
  #pause(nowMs: number): void {
    const { coordinator } = this.#world;
    if (this.#work && this.deviceId !== undefined) {
      const { leaseId } = this.#work;
      coordinator.do({ type: "fail", deviceId: this.deviceId, leaseId, code: "paused", reason: "it runs on battery", retry: true }, nowMs);
      this.#drop();
    }
  }

  /** Work without a lease: its progress stays for the case that the same task comes again. */
  #drop(): void {
    if (this.#work) this.#kept = { taskId: this.#work.taskId, left: this.#left };
    this.#work = undefined;
  }

  #later(what: Happening, atMs: number): void {
    this.#world.at(atMs, this, this.#generation, what);
  }

  ask(nowMs: number): void {
    const { coordinator, waiting, waitMs, latencyMs } = this.#world;
    if (!this.#interval || this.#work || this.deviceId === undefined) return;
    const answer = coordinator.do({ type: "requestOffer", deviceId: this.deviceId, capabilities: { kinds: taskKinds } }, nowMs);
    const assignment = answer.ok ? answer.reply.assignment : undefined;
    this.#generation++;
    if (assignment) {
      waiting.delete(this.deviceId);
      this.#take(assignment, nowMs + latencyMs);
    } else {
      waiting.set(this.deviceId, this);
      this.#later("rest", nowMs + waitMs);
    }
  }

  /** It waited in vain, and stays away as long as it is told to. */
  #rest(nowMs: number): void {
    const { coordinator, waiting, waitMs } = this.#world;
    const pauseMs = retryAfterMs(coordinator.state.devices.size, waitMs);
    if (pauseMs === 0) {
      this.ask(nowMs);
      return;
    }
    waiting.delete(this.deviceId ?? "");
    this.#later("ask", nowMs + pauseMs);
  }

  #take({ lease, run, task, slot }: Assignment, nowMs: number): void {
    const amounts = amountsOf(this.#world, task.kind, slot);
    const { leaseId, taskId } = lease;
    const heartbeatMs = 1000 * run.definition.policy.heartbeatSeconds;
    this.#left = this.#kept?.taskId === taskId ? this.#kept.left : [...amounts];
    this.#kept = undefined;
    this.#work = { leaseId, taskId, heartbeatMs, slot, kind: task.kind, startedMs: nowMs, amounts };
    this.#sinceMs = nowMs;
    this.#beat(nowMs);
  }

  /** Bits or multiply-adds in a second, for each part of the work. */
  #rates(): readonly [number, number, number] {
    const { profile, speed } = this.device;
    const bandwidth = this.#interval?.bandwidthBitsPerSecond ?? profile.bandwidthBitsPerSecond;
    return [bandwidth, profile.macsPerSecond * speed * (this.#interval?.speed ?? 1), bandwidth];
  }

  /** Does what could be done since the last time. */
  #advance(nowMs: number): void {
    if (!this.#work || !this.#interval || nowMs <= this.#sinceMs) return;
    const rates = this.#rates();
    let seconds = (nowMs - this.#sinceMs) / 1000;
    this.account.busySeconds += seconds;
    this.#sinceMs = nowMs;
    for (let part = 0; part < 3 && seconds > 0; part++) {
      const rate = rates[part] as number;
      const done = Math.min(this.#left[part] as number, rate * seconds);
      this.#left[part] = (this.#left[part] as number) - done;
      seconds -= done / rate;
      if (part === 0) this.account.bytesDown += done / 8;
      else if (part === 1) this.account.macs += done;
      else this.account.bytesUp += done / 8;
    }
  }

  #secondsLeft(): number {
    const rates = this.#rates();
    return this.#left.reduce((sum, left, part) => sum + left / (rates[part] as number), 0);
  }

  #fallBack(nowMs: number): void {
    const { checkpointMs } = this.#world;
    const left = this.#left[1];
    if (!this.#work || left === 0 || left === this.#work.amounts[1]) return;
    const sinceCheckpoint = ((nowMs - this.#work.startedMs) % checkpointMs) / 1000;
    this.#left[1] = Math.min(this.#work.amounts[1], left + sinceCheckpoint * this.device.profile.macsPerSecond * this.device.speed);
  }

  /** Looks ahead: the end of the work or the next heartbeat, whichever comes first. */
  #schedule(nowMs: number): void {
    const work = this.#work as Work;
    const endMs = nowMs + Math.ceil(1000 * this.#secondsLeft());
    const beatMs = nowMs + work.heartbeatMs / 2;
    if (endMs <= beatMs) this.#later("done", endMs);
    else this.#later("beat", beatMs);
  }

  #beat(nowMs: number): void {
    const { coordinator, latencyMs } = this.#world;
    const work = this.#work;
    if (!work || this.deviceId === undefined) return;
    this.#advance(nowMs);
    const [, total] = work.amounts;
    const progress = total > 0 ? 1 - this.#left[1] / total : 1;
    const answer = coordinator.do(
      { type: "heartbeat", deviceId: this.deviceId, leaseId: work.leaseId, report: { phase: "training", progress } },
      nowMs,
    );
    if (answer.ok && !answer.reply.cancel) {
      this.#schedule(nowMs);
      return;
    }
    this.#drop();
    this.#generation++;
    this.#later("ask", nowMs + latencyMs);
  }

  #done(nowMs: number): void {
    const { coordinator, latencyMs } = this.#world;
    const work = this.#work;
    if (!work || this.deviceId === undefined) return;
    this.#advance(nowMs);
    const { ownSamples, backgroundSamples } = work.slot;
    const bytes = Math.round(work.amounts[2] / 8);
    const role = work.kind === "statistics" ? "statistics" : parametersRole;
    // The result follows from the task and the samples, as a real one does.
    const sha256 = sha256Hex(`${work.taskId} ${this.#data.fingerprint}`);
    coordinator.complete(
      {
        deviceId: this.deviceId,
        leaseId: work.leaseId,
        outputs: [{ role, sha256, bytes }],
        measured: { seconds: (nowMs - work.startedMs) / 1000, macs: work.amounts[1], samples: ownSamples + backgroundSamples },
        use: { ownSamples, backgroundSamples },
      },
      nowMs,
    );
    this.#work = undefined;
    this.#generation++;
    this.#later("ask", nowMs + latencyMs);
  }
}
