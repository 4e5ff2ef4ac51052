/**
 * The state after an event: pure, total over the types of events, and without judgement. Whether something may happen is for `decide.ts` to say;
 * what is in the log has happened. The same events give the same state, on any machine and at any time.
 */
import { List, Map as PersistentMap, Set as PersistentSet } from "immutable";
import { SheafError } from "../util/errors.ts";
import type { Event, EventOf, EventType, Slot, TaskSeed } from "./events.ts";
import { holdings, takesPart } from "./holdings.ts";
import { noPlaces, withPlaces } from "./places.ts";
import {
  type ArchivedRun,
  currentRuns,
  type Device,
  emptyState,
  type Lease,
  type LeaseEnd,
  type Run,
  type State,
  type Task,
  totalsOf,
} from "./state.ts";
import { emptyTimeline } from "./timeline.ts";

type Step<T extends EventType> = (state: State, event: EventOf<T>) => State;

/** First wait after a failure, and the longest; doubled each time. */
const shortestPauseMs = 15_000;
const longestPauseMs = 600_000;

/** How long a device stays away from a task that it failed `count` times. */
export function pauseMs(count: number): number {
  return Math.min(longestPauseMs, shortestPauseMs * 2 ** Math.min(count - 1, 16));
}

function runIn(state: State, runId: string): Run {
  const run = state.runs.get(runId);
  if (!run)
    throw new SheafError("corrupt", `The log speaks of run "${runId}" before it was created; restore the data directory from a backup.`);
  return run;
}

const withRun = (state: State, run: Run): State => ({ ...state, runs: state.runs.set(run.runId, run) });

const changeRun = (state: State, runId: string, change: Partial<Run>): State => withRun(state, { ...runIn(state, runId), ...change });

function taskIn(run: Run, taskId: string): Task {
  const task = run.tasks.get(taskId);
  if (!task)
    throw new SheafError(
      "corrupt",
      `The log speaks of task "${taskId}" of run "${run.runId}" before it was there; restore the data directory from a backup.`,
    );
  return task;
}

/** Whether a task need not wait for its own device, which was revoked or excused, or is not to try again. */
function isOrphan(devices: State["devices"], run: Run, task: Task): boolean {
  const owner = devices.get(run.slots.get(task.slot)?.deviceId ?? "");
  if (!owner || owner.revokedAt !== undefined || run.excused.has(owner.deviceId)) return true;
  return task.faults.get(owner.deviceId)?.until === Number.POSITIVE_INFINITY;
}

/** Puts a changed task in its place, among the open ones where nobody is at work on it. */
function withTask({ devices }: Pick<State, "devices">, run: Run, task: Task): Run {
  const { taskId, openedAt } = task;
  const before = run.tasks.get(taskId);
  const isOpen = task.status === "open";
  const wasOpen = before?.status === "open";
  const lies = isOpen && task.leases.length === 0;
  const others = before ? run.open.remove(before.openedAt, taskId) : run.open;
  const otherExhausted = before ? run.exhausted.remove(before.openedAt, taskId) : run.exhausted;
  const otherOrphans = before ? run.orphaned.remove(before.openedAt, taskId) : run.orphaned;
  return {
    ...run,
    tasks: run.tasks.set(taskId, task),
    open: lies ? others.add(openedAt, taskId) : others,
    orphaned: lies && isOrphan(devices, run, task) ? otherOrphans.add(openedAt, taskId) : otherOrphans,
    exhausted: lies && task.attempts >= run.definition.policy.maximumAttempts ? otherExhausted.add(openedAt, taskId) : otherExhausted,
    remaining: run.remaining + Number(isOpen) - Number(wasOpen),
  };
}

/** A device's own tasks once more in their places, when others may have come to be free to take them. */
function replaceTasks(state: Pick<State, "devices">, run: Run, deviceId: string): Run {
  return (run.ownTasks.get(deviceId) ?? []).reduce((next, taskId) => withTask(state, next, taskIn(next, taskId)), run);
}

/** When the device of a lease becomes a straggler. */
const overdueAt = ({ grantedAt, expectedSeconds }: Lease, { definition }: Run): number =>
  grantedAt + 1000 * definition.policy.stragglerFactor * expectedSeconds;

/** The leases that are alone at their task, after the leases of one task have changed; `gone` is no more. */
function overdueOf(state: State, run: Run, before: readonly string[], after: readonly string[], gone?: Lease): State["overdue"] {
  const leaseIn = (leaseId: string): Lease | undefined => (leaseId === gone?.leaseId ? gone : state.leases.get(leaseId));
  const [was, is] = [before, after].map((leases) => (leases.length === 1 ? leaseIn(leases[0] as string) : undefined));
  const without = was ? state.overdue.remove(overdueAt(was, run), was.leaseId) : state.overdue;
  return is ? without.add(overdueAt(is, run), is.leaseId) : without;
}

/** Adds what a device brings to a run that gathers, or with `by` -1 takes it away. */
function gather(run: Run, device: Device, by: 1 | -1): Run {
  if (!run.gathered || !takesPart(run.definition, device)) return run;
  const held = holdings(run.definition, device);
  const owners = run.gathered.owners.map((count, classId) => count + ((held[classId] ?? 0) > 0 ? by : 0));
  return { ...run, gathered: { devices: run.gathered.devices + by, owners } };
}

/** A device that came, changed or went, in the eyes of all runs. */
function withDevice(state: State, device: Device): State {
  const before = state.devices.get(device.deviceId);
  const changed = { ...state, devices: state.devices.set(device.deviceId, device), fleetVersion: state.fleetVersion + 1 };
  const gathering = currentRuns(state).filter(({ gathered }) => gathered);
  const gathered = gathering.reduce((next, run) => withRun(next, gather(before ? gather(run, before, -1) : run, device, 1)), changed);
  // Where the plan is made, a device may yet be admitted.
  const planned = currentRuns(state).filter(
    (run) => !run.gathered && run.definition.policy.admitLate && !run.ownTasks.has(device.deviceId),
  );
  return planned.reduce((next, run) => withRun(next, { ...run, newcomers: run.newcomers.add(device.deviceId) }), gathered);
}

/** Ends a live lease; one that is not live stays as it is. A task that nobody works on any more waits from `at` on, unless `waiting` says since when. */
function endLease(state: State, leaseId: string, end: LeaseEnd, at: number, waiting?: (task: Task) => Partial<Task>): State {
  const lease = state.leases.get(leaseId);
  if (!lease) return state;
  const run = runIn(state, lease.runId);
  const task = taskIn(run, lease.taskId);
  const leases = task.leases.filter((id) => id !== leaseId);
  const reopened = leases.length === 0 && task.status === "open" ? { openedAt: at } : {};
  const changed = { ...withTask(state, run, { ...task, leases, ...reopened, ...waiting?.(task) }), quietSince: at };
  return {
    ...withRun(state, changed),
    overdue: overdueOf(state, run, task.leases, leases),
    leases: state.leases.delete(leaseId),
    leaseOfDevice: state.leaseOfDevice.get(lease.deviceId) === leaseId ? state.leaseOfDevice.delete(lease.deviceId) : state.leaseOfDevice,
    endedLeases: state.endedLeases.set(leaseId, { ...lease, end }),
  };
}

/** Ends a task and with it all leases of it. */
function closeTask(
  state: State,
  runId: string,
  taskId: string,
  change: Partial<Task>,
  endOf: (leaseId: string) => LeaseEnd,
  at: number,
): State {
  const run = runIn(state, runId);
  const task = taskIn(run, taskId);
  const closed = withRun(state, withTask(state, run, { ...task, ...change }));
  return task.leases.reduce((next, leaseId) => endLease(next, leaseId, endOf(leaseId), at), closed);
}

/** Ends all leases of a run. */
function endLeases(state: State, runId: string, end: LeaseEnd, at: number): State {
  const tasks = runIn(state, runId)
    .tasks.valueSeq()
    .filter((task) => task.leases.length > 0);
  return tasks.reduce((next, task) => task.leases.reduce((s, leaseId) => endLease(s, leaseId, end, at), next), state);
}

/** The device failed once more; `forever` when it is not to try again. */
const faulted =
  (deviceId: string, at: number, forever: boolean) =>
  (task: Task): Partial<Task> => {
    const count = (task.faults.get(deviceId)?.count ?? 0) + 1;
    return { faults: task.faults.set(deviceId, { count, until: forever ? Number.POSITIVE_INFINITY : at + pauseMs(count) }) };
  };

/** Failures do not let a task wait anew: one that only ever fails is given up in the end. */
const waitingOn =
  (change: (task: Task) => Partial<Task>) =>
  (task: Task): Partial<Task> => ({ openedAt: task.openedAt, ...change(task) });

function addTasks(state: State, run: Run, seeds: readonly TaskSeed[], at: number): Run {
  return seeds.reduce((next, seed) => {
    const task: Task = { ...seed, status: "open", openedAt: at, leases: [], attempts: 0, faults: PersistentMap() };
    const own = next.slots.get(seed.slot)?.deviceId ?? "";
    return { ...withTask(state, next, task), ownTasks: next.ownTasks.update(own, [], (ids) => [...ids, seed.taskId]) };
  }, run);
}

const withSlots = (run: Run, slots: readonly Slot[]): Run => ({
  ...run,
  slots: run.slots.withMutations((map) => {
    for (const slot of slots) map.set(slot.slot, slot);
  }),
  slotOrder: run.slotOrder.concat(slots.map(({ slot }) => slot)),
  places: withPlaces(run.places, slots),
});

/** Devices that a first plan left out, who have another chance where newcomers have one. */
function unplaced({ devices }: State, { definition }: Run, slots: readonly Slot[]): Run["newcomers"] {
  if (!definition.policy.admitLate) return PersistentSet();
  const placed = new Set(slots.map(({ deviceId }) => deviceId));
  return PersistentSet(devices.keySeq().filter((deviceId) => !placed.has(deviceId)));
}

/** A lease back among the live ones. */
function revive(state: State, leaseId: string): State {
  const found = state.endedLeases.get(leaseId);
  if (!found) return state;
  const { end: _, ...lease } = found;
  return { ...addLease(state, lease, 0), endedLeases: state.endedLeases.delete(leaseId) };
}

function addLease(state: State, lease: Lease, attempts: number): State {
  const run = runIn(state, lease.runId);
  const task = taskIn(run, lease.taskId);
  const leases = [...task.leases, lease.leaseId];
  const added = { ...state, leases: state.leases.set(lease.leaseId, lease) };
  return {
    ...withRun(added, withTask(state, run, { ...task, leases, attempts: task.attempts + attempts })),
    overdue: overdueOf(added, run, task.leases, leases),
    leaseOfDevice: state.leaseOfDevice.set(lease.deviceId, lease.leaseId),
  };
}

/** Puts a run among the archived ones. */
function shelve(state: State, runId: string): State {
  const run = runIn(state, runId);
  const { definition, createdAt, createdIn, phase, reason, outputs } = run;
  const shelved: ArchivedRun = {
    runId,
    name: definition.name,
    createdAt,
    createdIn,
    phase,
    ...(reason === undefined ? {} : { reason }),
    totals: totalsOf(run),
    ...(outputs ? { outputs } : {}),
    harvested: run.harvests.flatMap((harvest) => harvest.outputs ?? []),
  };
  return {
    ...state,
    runs: state.runs.delete(runId),
    archive: state.archive.set(runId, shelved),
    currentRuns: state.currentRuns.filter((id) => id !== runId),
    endedLeases: state.endedLeases.filter((lease) => lease.runId !== runId),
  };
}

const steps: { readonly [T in EventType]: Step<T> } = {
  "joinToken.created": (state) => state,
  "device.enrolled": (state, { type: _, at, ...device }) => ({
    ...withDevice(state, { ...device, enrolledAt: at }),
    deviceOfKey: state.deviceOfKey.set(device.publicKey, device.deviceId),
  }),
  "device.updated": (state, { type: _, at: __, ...facts }) => {
    const device = state.devices.get(facts.deviceId);
    if (!device) return state;
    return withDevice(state, { ...device, ...facts });
  },
  "device.revoked": (state, { deviceId, at }) => {
    const device = state.devices.get(deviceId);
    if (!device) return state;
    const leaseId = state.leaseOfDevice.get(deviceId);
    const revoked = withDevice(state, { ...device, revokedAt: at });
    const ended = leaseId === undefined ? revoked : endLease(revoked, leaseId, "revoked", at);
    // Nobody waits for it any more.
    return currentRuns(ended).reduce((next, run) => withRun(next, replaceTasks(next, run, deviceId)), ended);
  },
  "device.excused": (state, { runId, deviceId }) => {
    const run = runIn(state, runId);
    return withRun(state, replaceTasks(state, { ...run, excused: run.excused.add(deviceId) }, deviceId));
  },
  "run.created": (state, { runId, definition, at }) => {
    const run: Run = {
      runId,
      definition,
      createdAt: at,
      createdIn: state.sequence,
      phase: "gathering",
      quietSince: at,
      pass: 0,
      turn: 0,
      paused: false,
      slots: PersistentMap(),
      slotOrder: List(),
      places: noPlaces(definition.classNames.length),
      plannedMissing: [],
      newcomers: PersistentSet(),
      tasks: PersistentMap(),
      open: emptyTimeline,
      orphaned: emptyTimeline,
      exhausted: emptyTimeline,
      remaining: 0,
      ownTasks: PersistentMap(),
      excused: PersistentSet(),
      quarantined: [],
      takers: [],
      harvests: [],
      gathered: { devices: 0, owners: definition.classNames.map(() => 0) },
    };
    const gathered = state.devices.valueSeq().reduce((next, device) => gather(next, device, 1), run);
    return { ...withRun(state, gathered), currentRuns: [...state.currentRuns, runId] };
  },
  "shard.taken": (state, { runId, deviceId, shard }) => {
    const takers = [...runIn(state, runId).takers];
    takers[shard] = deviceId;
    return changeRun(state, runId, { takers });
  },
  "run.paused": (state, { runId, at }) => endLeases(changeRun(state, runId, { paused: true }), runId, "paused", at),
  "run.resumed": (state, { runId, at }) => {
    const { reason: _, failedIn, plannedFor: __, ...run } = runIn(state, runId);
    const phase = run.phase === "failed" ? (failedIn ?? "gathering") : run.phase;
    // Tasks did not wait while the run stood still, and where a run failed for want of results, those that were given up have another chance.
    const again = run.phase === "failed";
    const tasks = run.tasks.valueSeq().filter(({ status, kind }) => status === "open" || (again && status === "givenUp" && kind === phase));
    const resumed: Run = { ...run, phase, paused: false, quietSince: at };
    return withRun(
      state,
      tasks.reduce((next: Run, task) => {
        const { reason: ___, ...rest } = task;
        return withTask(state, next, {
          ...rest,
          status: "open",
          openedAt: at,
          ...(task.status === "givenUp" ? { attempts: 0, faults: PersistentMap() } : {}),
        });
      }, resumed),
    );
  },
  "run.cancelled": (state, { runId, at }) => {
    // A run that had failed could once be cancelled after it was archived.
    const archived = state.archive.get(runId);
    if (archived) return { ...state, archive: state.archive.set(runId, { ...archived, phase: "cancelled" }) };
    return endLeases(changeRun(state, runId, { phase: "cancelled", paused: false }), runId, "cancelled", at);
  },
  "run.archived": (state, { runId, at }) => shelve(endLeases(state, runId, "cancelled", at), runId),
  "run.failed": (state, { runId, reason, at }) =>
    endLeases(changeRun(state, runId, { phase: "failed", failedIn: runIn(state, runId).phase, reason }), runId, "cancelled", at),
  "run.finished": (state, { runId, outputs, missingClasses }) => changeRun(state, runId, { phase: "finished", outputs, missingClasses }),
  "plan.made": (state, { runId, slots, missingClasses }) =>
    withRun(state, {
      ...withSlots(runIn(state, runId), slots),
      plannedMissing: missingClasses,
      plannedFor: state.fleetVersion,
      newcomers: unplaced(state, runIn(state, runId), slots),
    }),
  "plan.extended": (state, { runId, slots, tasks, at }) =>
    withRun(state, {
      ...addTasks(state, withSlots(runIn(state, runId), slots), tasks, at),
      plannedFor: state.fleetVersion,
      newcomers: PersistentSet(),
    }),
  "plan.refused": (state, { runId, reason, at }) =>
    changeRun(state, runId, { plannedFor: state.fleetVersion, refusedAt: at, reason, newcomers: PersistentSet() }),
  "phase.started": (state, { runId, phase, pass, tasks, at }) => {
    const { reason: _, gathered: __, ...run } = runIn(state, runId);
    const turn = phase === "settle" ? (pass === run.pass ? run.turn + 1 : 1) : run.turn;
    return withRun(state, addTasks(state, { ...run, phase, quietSince: at, pass: pass ?? run.pass, turn }, tasks, at));
  },
  "offer.leased": (state, { runId, taskId, leaseId, deviceId, expectedSeconds, why, at }) => {
    // Here it is again.
    const present = changeRun(state, runId, { excused: runIn(state, runId).excused.delete(deviceId) });
    return addLease(present, { leaseId, runId, taskId, deviceId, grantedAt: at, expectedSeconds, why }, 1);
  },
  "lease.renewed": (state, { leaseId }) => revive(state, leaseId),
  "lease.expired": (state, { leaseId, reason, at }) => {
    const deviceId = state.leases.get(leaseId)?.deviceId ?? "";
    return endLease(state, leaseId, "expired", at, reason === "stuck" ? waitingOn(faulted(deviceId, at, true)) : undefined);
  },
  "lease.failed": (state, { leaseId, retry, at }) => {
    const deviceId = state.leases.get(leaseId)?.deviceId ?? "";
    return endLease(state, leaseId, "failed", at, waitingOn(faulted(deviceId, at, !retry)));
  },
  "lease.completed": (state, { runId, taskId, leaseId, deviceId, outputs, measured, use, evaluation, at }) => {
    const result = { leaseId, deviceId, outputs, measured, use, evaluation, at };
    return closeTask(state, runId, taskId, { status: "done", result }, (id) => (id === leaseId ? "completed" : "superseded"), at);
  },
  "upload.quarantined": (state, { runId, taskId, leaseId, deviceId, outputs, reason, at }) => {
    // The lease may have lapsed before its result came; the fault counts all the same.
    const ended = endLease(state, leaseId, "quarantined", at);
    const run = runIn(ended, runId);
    const task = taskIn(run, taskId);
    const barred = withTask(state, run, {
      ...task,
      openedAt: taskIn(runIn(state, runId), taskId).openedAt,
      ...faulted(deviceId, at, true)(task),
    });
    return withRun(ended, { ...barred, quarantined: [...barred.quarantined, { taskId, deviceId, outputs, reason }] });
  },
  "task.givenUp": (state, { runId, taskId, reason, at }) =>
    closeTask(state, runId, taskId, { status: "givenUp", reason }, () => "givenUp", at),
  "harvest.requested": (state, { runId, harvestId, slots, missingClasses }) =>
    changeRun(state, runId, { harvests: [...runIn(state, runId).harvests, { harvestId, slots, missingClasses }] }),
  "harvest.made": (state, { runId, harvestId, outputs, head }) => answerHarvest(state, runId, harvestId, { outputs, head }),
  "harvest.failed": (state, { runId, harvestId, reason }) => answerHarvest(state, runId, harvestId, { reason }),
};

function answerHarvest(state: State, runId: string, harvestId: string, answer: Partial<Run["harvests"][number]>): State {
  const { harvests } = runIn(state, runId);
  return changeRun(state, runId, { harvests: harvests.map((h) => (h.harvestId === harvestId ? { ...h, ...answer } : h)) });
}

/**
 * The state after `event`; `state` itself does not change. Throws `corrupt` for an event about a run or task that the log has not spoken of.
 */
export function fold(state: State, event: Event): State {
  const counted = { ...state, sequence: state.sequence + 1, lastAt: Math.max(state.lastAt, event.at) };
  // Each type's step takes exactly that type's event, which the compiler cannot follow through an index.
  return (steps[event.type] as Step<EventType>)(counted, event);
}

/** The state after all of a log. */
export function foldAll(events: Iterable<Event>, from: State = emptyState): State {
  let state = from;
  for (const event of events) state = fold(state, event);
  return state;
}
