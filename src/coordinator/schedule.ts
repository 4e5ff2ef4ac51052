/**
 * Which task a device that asks for work gets. Its own comes first; then one that has waited too long for its own device; then one that is with a
 * device that is far slower than planned. Pure; ties are broken by task id, so that the same state gives the same answer.
 */

import { passesOf } from "../plan/settlePasses.ts";
import type { Capabilities, MeasuredProfile } from "../protocol/messages.ts";
import type { TaskKind } from "../protocol/tasks.ts";
import type { LeaseReason, Slot } from "./events.ts";
import { standsFor, takesPart } from "./holdings.ts";
import { type Liveness, waitedMs } from "./liveness.ts";
import { withSameSamples } from "./standIns.ts";
import { currentRuns, type Device, isWorking, type Lease, type Run, type State, type Task } from "./state.ts";
import { upTo } from "./timeline.ts";

/** Even the smallest task takes so long: fetching, compiling, uploading. */
const leastSeconds = 30;
/** A lease that takes this many times the expected time, and longer than anybody waits, is taken to be stuck. */
const stuckFactor = 10;

/** Seconds that a task of a slot should take a device. */
export function expectedSeconds({ definition }: Run, slot: Slot, kind: TaskKind, profile: MeasuredProfile): number {
  const { settle } = definition.work;
  const passes = kind === "settle" && settle ? Math.max(1, passesOf(settle, slot.slot).length) : 1;
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

/** From when on a lease, though renewed, will hardly come to anything. */
export function stuckAt(lease: Lease, liveness: Liveness, now: number, giveUpAfterSeconds: number): number {
  return now - waitedMs(liveness, lease.grantedAt, now) + 1000 * (giveUpAfterSeconds + stuckFactor * lease.expectedSeconds);
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

/** Whether a device that asks for work may do another's task now. */
function canStandIn({ state, device, asking }: Context, run: Run, slot: Slot, kind: TaskKind): boolean {
  if ((asking.capabilities.memoryBytes ?? Number.POSITIVE_INFINITY) < slot.memoryBytes) return false;
  if ((asking.freeDiskBytes ?? Number.POSITIVE_INFINITY) < slot.bytesDown + slot.bytesUp) return false;
  return couldStandIn(state, run, slot, kind, device);
}

/**
 * Whether a device may do another's task, as far as its samples and its memory go. Sums stand for the samples that they are of: only a device with the
 * very same samples can make another's.
 */
export function couldStandIn(state: State, { definition }: Run, slot: Slot, kind: TaskKind, device: Device): boolean {
  if (device.profile.memoryBytes < slot.memoryBytes || !takesPart(definition, device)) return false;
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

/** The latest time at which somebody may have begun to wait so long. After a clock was set back, times do not tell, and everything is looked at. */
const waitingSince = ({ state, now }: Context, seconds: number): number =>
  now < state.lastAt ? Number.POSITIVE_INFINITY : now - 1000 * seconds;

/** Open tasks that need not wait for their own device any longer, oldest first. */
function* anybodys(context: Context, { open, orphaned, tasks, definition: { policy } }: Run): Generator<Task> {
  const { liveness, now } = context;
  const { substituteAfterSeconds } = policy;
  const since = waitingSince(context, substituteAfterSeconds);
  const mayWait = now - liveness.startedAt < 1000 * substituteAfterSeconds;
  for (const taskId of mayWait ? [] : upTo(open, since)) {
    const task = tasks.get(taskId);
    if (task && waitedMs(liveness, task.openedAt, now) >= 1000 * substituteAfterSeconds) yield task;
  }
  for (const [, taskId] of orphaned) {
    const task = tasks.get(taskId);
    if (task) yield task;
  }
}

/** So many tasks are compared before the best of them is taken. */
const mostCompared = 64;

/** Same samples first, since they give the same result as the own device's; else what has waited longest, which comes first. */
function best({ state, device }: Context, choices: Iterable<Choice>): Choice | undefined {
  let found: Choice | undefined;
  let compared = 0;
  for (const choice of choices) {
    if (hasSameSamples(state, choice.slot, device)) return choice;
    found ??= choice;
    if (++compared >= mostCompared) break;
  }
  return found;
}

function substitute(context: Context, run: Run): Choice | undefined {
  function* choices(): Generator<Choice> {
    for (const task of anybodys(context, run)) {
      const slot = run.slots.get(task.slot);
      if (slot && isFree(context, task) && canStandIn(context, run, slot, task.kind)) yield { run, task, slot, why: "substitute" };
    }
  }
  return best(context, choices());
}

function straggler(context: Context): Choice | undefined {
  const { state, liveness, now, device } = context;
  function* choices(): Generator<Choice> {
    for (const leaseId of upTo(state.overdue, waitingSince(context, 0))) {
      const lease = state.leases.get(leaseId);
      const run = lease && state.runs.get(lease.runId);
      if (!lease || !run || !isWorking(run) || lease.deviceId === device.deviceId) continue;
      if (!isStraggling(lease, liveness, now, run.definition.policy.stragglerFactor)) continue;
      const task = run.tasks.get(lease.taskId);
      const slot = task && run.slots.get(task.slot);
      if (task && slot && isFree(context, task) && canStandIn(context, run, slot, task.kind)) yield { run, task, slot, why: "straggler" };
    }
  }
  return best(context, choices());
}

/** The task that a device without a lease should do now; undefined when there is none. Runs are served in the order of their creation. */
export function chooseTask(state: State, device: Device, asking: Asking, liveness: Liveness, now: number): Choice | undefined {
  const context: Context = { state, liveness, now, device, asking };
  const runs = currentRuns(state).filter(isWorking);
  for (const run of runs) {
    const choice = ownTask(context, run);
    if (choice) return choice;
  }
  // Nobody can make sums of samples that no other device has; who asks need not look through all that are missing.
  const others = runs.filter(({ phase }) => phase !== "statistics" || withSameSamples(state, device).length > 1);
  for (const run of others) {
    const choice = substitute(context, run);
    if (choice) return choice;
  }
  return others.length > 0 ? straggler(context) : undefined;
}
