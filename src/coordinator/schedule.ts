/**
 * Which task a device that asks for work gets. Its own comes first; then one that has waited too long for its own device; then one that is with a
 * device that is far slower than planned. Pure; ties are broken by task id, so that the same state gives the same answer.
 */
import type { Capabilities, MeasuredProfile } from "../protocol/messages.ts";
import type { TaskKind } from "../protocol/tasks.ts";
import type { LeaseReason, Slot } from "./events.ts";
import { standsFor, takesPart } from "./holdings.ts";
import { type Liveness, waitedMs } from "./liveness.ts";
import { type Device, isWorking, type Lease, type Run, type State, type Task } from "./state.ts";

/** Even the smallest task takes so long: fetching, compiling, uploading. */
const leastSeconds = 30;
/** A lease that takes this many times the expected time, and longer than anybody waits, is taken to be stuck. */
const stuckFactor = 10;

/** Seconds that a task of a slot should take a device. */
export function expectedSeconds({ definition }: Run, slot: Slot, kind: TaskKind, profile: MeasuredProfile): number {
  const passes = kind === "settle" ? (definition.work.settle?.passes ?? 1) : 1;
  const compute = slot.macs[kind] / passes / profile.macsPerSecond;
  const traffic = (8 * (slot.bytesDown + slot.bytesUp)) / profile.bandwidthBitsPerSecond;
  return Math.max(leastSeconds, compute + traffic);
}

/** What a device says when it asks for work. */
export interface Asking {
  readonly deviceId: string;
  readonly capabilities: Capabilities;
  readonly freeDiskBytes?: number | undefined;
}

export interface Choice {
  readonly run: Run;
  readonly task: Task;
  readonly slot: Slot;
  readonly why: LeaseReason;
}

/** Whether a lease has outlasted its welcome so far that another device should try. */
export function isStraggling(lease: Lease, liveness: Liveness, now: number, factor: number): boolean {
  return waitedMs(liveness, lease.grantedAt, now) >= 1000 * factor * lease.expectedSeconds;
}

/** Whether a lease, though renewed, will hardly come to anything. */
export function isStuck(lease: Lease, liveness: Liveness, now: number, giveUpAfterSeconds: number): boolean {
  return waitedMs(liveness, lease.grantedAt, now) >= 1000 * (giveUpAfterSeconds + stuckFactor * lease.expectedSeconds);
}

interface Context {
  readonly state: State;
  readonly liveness: Liveness;
  readonly now: number;
  readonly device: Device;
  readonly asking: Asking;
}

/** Whether nothing but time and place speaks against this device doing the task. */
function isFree({ device, asking, now }: Context, task: Task): boolean {
  return asking.capabilities.kinds.includes(task.kind) && (task.faults.get(device.deviceId)?.until ?? 0) <= now;
}

/** Whether a device may do another's task. Sums stand for the samples that they are of: only a device with the very same samples can make another's. */
function canStandIn({ state, device, asking }: Context, { definition }: Run, slot: Slot, kind: TaskKind): boolean {
  const memoryBytes = Math.min(device.profile.memoryBytes, asking.capabilities.memoryBytes ?? Number.POSITIVE_INFINITY);
  if (memoryBytes < slot.memoryBytes || (asking.freeDiskBytes ?? Number.POSITIVE_INFINITY) < slot.bytesDown + slot.bytesUp) return false;
  if (!takesPart(definition, device)) return false;
  return kind === "statistics" ? hasSameSamples(state, slot, device) : standsFor(definition, slot, device);
}

const hasSameSamples = (state: State, slot: Slot, device: Device): boolean =>
  state.devices.get(slot.deviceId)?.data.fingerprint === device.data.fingerprint;

/** An open task of the device's own; or one that a substitute is at work on, since the device may have most of it done. */
function ownTask(context: Context, run: Run): Choice | undefined {
  const tasks = (run.ownTasks.get(context.device.deviceId) ?? []).flatMap((taskId) => run.tasks.get(taskId) ?? []);
  for (const task of tasks) {
    const slot = run.slots.get(task.slot);
    if (!slot || task.status !== "open" || task.leases.length > 1 || !isFree(context, task)) continue;
    return { run, task, slot, why: task.leases.length === 0 ? "own" : "returned" };
  }
  return undefined;
}

/** Whether a task need not wait for its own device any longer. */
function isAnybodys({ state, liveness, now }: Context, { definition: { policy } }: Run, task: Task, slot: Slot): boolean {
  const owner = state.devices.get(slot.deviceId);
  if (!owner || owner.revokedAt !== undefined || task.faults.get(slot.deviceId)?.until === Number.POSITIVE_INFINITY) return true;
  return waitedMs(liveness, task.openedAt, now) >= 1000 * policy.substituteAfterSeconds;
}

/** The first of those that are better by `compare`. */
function best<T>(items: Iterable<T>, compare: (a: T, b: T) => number): T | undefined {
  let found: T | undefined;
  for (const item of items) if (found === undefined || compare(item, found) < 0) found = item;
  return found;
}

/** Same samples first, since they give the same result as the own device's; then whatever has waited longest. */
function byNeed({ state, device }: Context, sinceOf: (choice: Choice) => number): (a: Choice, b: Choice) => number {
  const foreign = ({ slot }: Choice): number => (hasSameSamples(state, slot, device) ? 0 : 1);
  return (a, b) => foreign(a) - foreign(b) || sinceOf(a) - sinceOf(b) || (a.task.taskId < b.task.taskId ? -1 : 1);
}

function substitute(context: Context, run: Run): Choice | undefined {
  const choices = run.open.keySeq().flatMap((taskId): Choice[] => {
    const task = run.tasks.get(taskId);
    const slot = task && run.slots.get(task.slot);
    if (!task || !slot || !isFree(context, task) || !isAnybodys(context, run, task, slot)) return [];
    return canStandIn(context, run, slot, task.kind) ? [{ run, task, slot, why: "substitute" }] : [];
  });
  return best(
    choices,
    byNeed(context, ({ task }) => task.openedAt),
  );
}

function straggler(context: Context): Choice | undefined {
  const { state, liveness, now, device } = context;
  const choices = state.leases.valueSeq().flatMap((lease): Choice[] => {
    const run = state.runs.get(lease.runId);
    if (!run || !isWorking(run) || lease.deviceId === device.deviceId) return [];
    if (!isStraggling(lease, liveness, now, run.definition.policy.stragglerFactor)) return [];
    const task = run.tasks.get(lease.taskId);
    const slot = task && run.slots.get(task.slot);
    if (!task || !slot || task.leases.length > 1 || !isFree(context, task) || !canStandIn(context, run, slot, task.kind)) return [];
    return [{ run, task, slot, why: "straggler" }];
  });
  return best(
    choices,
    byNeed(context, ({ task }) => state.leases.get(task.leases[0] ?? "")?.grantedAt ?? 0),
  );
}

/** The task that a device without a lease should do now; undefined when there is none. Runs are served in the order of their creation. */
export function chooseTask(state: State, device: Device, asking: Asking, liveness: Liveness, now: number): Choice | undefined {
  const context: Context = { state, liveness, now, device, asking };
  const runs = [...state.runs.values()].filter(isWorking).sort((a, b) => a.createdAt - b.createdAt || (a.runId < b.runId ? -1 : 1));
  for (const find of [ownTask, substitute]) {
    for (const run of runs) {
      const choice = find(context, run);
      if (choice) return choice;
    }
  }
  return runs.length > 0 ? straggler(context) : undefined;
}
