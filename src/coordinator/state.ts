/**
 * What the coordinator knows, as persistent maps: a change makes a new state that shares all else with the old, so that events can be tried
 * before they are on the disk, and a state that could not be written is simply dropped.
 */
import { type List, Map as PersistentMap, type Set as PersistentSet } from "immutable";
import type { ObjectReference, SampleUse } from "../protocol/messages.ts";
import type { DeviceFacts, LeaseReason, Measured, RunDefinition, Slot, TaskSeed, WorkPhase } from "./events.ts";
import type { Places } from "./places.ts";
import { emptyTimeline, type Timeline } from "./timeline.ts";

/** An enrolled device. */
export interface Device extends DeviceFacts {
  readonly deviceId: string;
  readonly publicKey: string;
  readonly enrolledAt: number;
  readonly revokedAt?: number;
}

/** A device at work on a task. Its renewals are not here but in `Liveness`. */
export interface Lease {
  readonly leaseId: string;
  readonly runId: string;
  readonly taskId: string;
  readonly deviceId: string;
  readonly grantedAt: number;
  readonly expectedSeconds: number;
  readonly why: LeaseReason;
}

/** How a lease came to its end. */
export type LeaseEnd = "completed" | "superseded" | "quarantined" | "expired" | "failed" | "paused" | "cancelled" | "revoked" | "givenUp";

export interface EndedLease extends Lease {
  readonly end: LeaseEnd;
}

/** What stands between a device and another try at a task. */
export interface Fault {
  readonly count: number;
  /** No new lease of the task before; Infinity never again. */
  readonly until: number;
}

export interface Result {
  readonly leaseId: string;
  readonly deviceId: string;
  readonly outputs: readonly ObjectReference[];
  readonly measured: Measured;
  readonly use?: SampleUse | undefined;
  readonly evaluation?: Readonly<Record<string, number>> | undefined;
  readonly at: number;
}

/** An upload that the gate refused. */
export interface Quarantined {
  readonly taskId: string;
  readonly deviceId: string;
  readonly outputs: readonly ObjectReference[];
  readonly reason: string;
}

export interface Task extends TaskSeed {
  readonly status: "open" | "done" | "givenUp";
  /** Since when nobody has been at work on it; while there are leases, what it was when the first was given. */
  readonly openedAt: number;
  /** Live leases: none, one, or two where one is a straggler's or came second to its own device. */
  readonly leases: readonly string[];
  /** Leases that it has had. */
  readonly attempts: number;
  readonly faults: PersistentMap<string, Fault>;
  readonly result?: Result;
  /** Why it was given up. */
  readonly reason?: string;
}

/** A request for a model from what is there, until it is answered. */
export interface Harvest {
  readonly harvestId: string;
  readonly slots: readonly string[];
  readonly missingClasses: readonly number[];
  readonly outputs?: readonly ObjectReference[];
  readonly head?: string;
  readonly reason?: string;
}

/** Where a run stands. `gathering` waits for devices. */
export type RunPhase = "gathering" | WorkPhase | "finished" | "failed" | "cancelled";

export interface Run {
  readonly runId: string;
  readonly definition: RunDefinition;
  readonly createdAt: number;
  /** Sequence of the log's entry that created it. */
  readonly createdIn: number;
  readonly phase: RunPhase;
  /** The phase that a failed run goes back to when it is resumed. */
  readonly failedIn?: RunPhase;
  /** Since when nobody is at work on it; while somebody is, when the last lease before had ended. */
  readonly quietSince: number;
  /** Settle pass, from 1, and turns begun in it; 0 before the first. */
  readonly pass: number;
  readonly turn: number;
  readonly paused: boolean;
  readonly reason?: string;
  readonly slots: PersistentMap<string, Slot>;
  /** Slots in the order of the plan. */
  readonly slotOrder: List<string>;
  /** The same in numbers. */
  readonly places: Places;
  readonly plannedMissing: readonly number[];
  /** Devices without a place that came or changed since the last try at one for them. */
  readonly newcomers: PersistentSet<string>;
  /** Fleet version of the last try at a plan, good or not. */
  readonly plannedFor?: number;
  /** When the last plan was refused. */
  readonly refusedAt?: number;
  readonly tasks: PersistentMap<string, Task>;
  /** Tasks that nobody is at work on, by the time since when. */
  readonly open: Timeline;
  /** Those of them that need not wait for their own device: it was revoked or excused, or is not to try again. */
  readonly orphaned: Timeline;
  /** Those of them that have had all the leases that they may have. */
  readonly exhausted: Timeline;
  /** Tasks that are neither done nor given up. */
  readonly remaining: number;
  /** Tasks of a device's own, by device. */
  readonly ownTasks: PersistentMap<string, readonly string[]>;
  /** Devices that the run does not wait for. */
  readonly excused: PersistentSet<string>;
  readonly quarantined: readonly Quarantined[];
  /** Devices that took a shard of the data which the run offers, in the shards' order. */
  readonly takers: readonly string[];
  readonly harvests: readonly Harvest[];
  readonly outputs?: readonly ObjectReference[];
  readonly missingClasses?: readonly number[];
  /** While it gathers: the devices that could take part, and how many of them hold each class. */
  readonly gathered?: { readonly devices: number; readonly owners: readonly number[] };
}

/** A run in numbers. */
export interface RunTotals {
  readonly tasks: { readonly total: number; readonly leased: number; readonly done: number; readonly failed: number };
  /** Classes that a place can answer for, and those that one does. */
  readonly classes: number;
  readonly covered: number;
  /** Places. */
  readonly devices: number;
}

/** What stays of a run that was archived: its models and its figures. All else is in the log. */
export interface ArchivedRun {
  readonly runId: string;
  readonly name: string;
  readonly createdAt: number;
  readonly createdIn: number;
  readonly phase: RunPhase;
  readonly reason?: string;
  readonly totals: RunTotals;
  readonly outputs?: readonly ObjectReference[];
  /** Models that were made on the way. */
  readonly harvested: readonly ObjectReference[];
}

export interface State {
  readonly devices: PersistentMap<string, Device>;
  readonly deviceOfKey: PersistentMap<string, string>;
  /** Runs that are not archived. */
  readonly runs: PersistentMap<string, Run>;
  /** Their ids in the order of their creation. */
  readonly currentRuns: readonly string[];
  readonly archive: PersistentMap<string, ArchivedRun>;
  /** Live leases. */
  readonly leases: PersistentMap<string, Lease>;
  /** Those that are alone at their task, by the time from which the device is a straggler. */
  readonly overdue: Timeline;
  readonly leaseOfDevice: PersistentMap<string, string>;
  /** Kept until their run is archived, so that a repeated request has the answer of the first. */
  readonly endedLeases: PersistentMap<string, EndedLease>;
  /** Rises with every change of a device; tells whether a plan is worth another try. */
  readonly fleetVersion: number;
  /** How many events there were, which is the sequence of the newest in the log. */
  readonly sequence: number;
  /** Time of the newest event. */
  readonly lastAt: number;
}

/** Nothing has happened yet. */
export const emptyState: State = {
  devices: PersistentMap(),
  deviceOfKey: PersistentMap(),
  runs: PersistentMap(),
  currentRuns: [],
  archive: PersistentMap(),
  leases: PersistentMap(),
  overdue: emptyTimeline,
  leaseOfDevice: PersistentMap(),
  endedLeases: PersistentMap(),
  fleetVersion: 0,
  sequence: 0,
  lastAt: 0,
};

/** The runs that are not archived, in the order of their creation. */
export function currentRuns({ runs, currentRuns: ids }: State): readonly Run[] {
  return ids.flatMap((runId) => runs.get(runId) ?? []);
}

const ended: ReadonlySet<RunPhase> = new Set<RunPhase>(["finished", "failed", "cancelled"]);

/** Whether nothing happens in the run any more. */
export function isOver({ phase }: Run): boolean {
  return ended.has(phase);
}

/** Shards of the offered data that no device has, but for revoked ones. */
export function freeShards({ devices }: Pick<State, "devices">, { definition, takers }: Run): readonly number[] {
  return (definition.offered?.shards ?? []).flatMap((_, shard) => {
    const taker = devices.get(takers[shard] ?? "");
    return taker && taker.revokedAt === undefined ? [] : [shard];
  });
}

/** Whether tasks of the run may be offered. */
export function isWorking(run: Run): boolean {
  return !run.paused && !isOver(run) && run.remaining > 0;
}

/** The accepted task that a slot's branch comes from: the last of its settle passes before `pass` that was done, else its training; undefined without one. */
export function branchTask(run: Run, slot: string, pass: number = Number.POSITIVE_INFINITY): Task | undefined {
  for (let p = Math.min(run.pass, pass - 1); p >= 1; p--) {
    const task = run.tasks.get(settleTaskId(slot, p));
    if (task?.status === "done") return task;
  }
  const trained = run.tasks.get(trainTaskId(slot));
  return trained?.status === "done" ? trained : undefined;
}

/** Slots that have a branch, in the order of the plan. */
export function harvestedSlots(run: Run): readonly string[] {
  return [...run.slotOrder].filter((slot) => run.tasks.get(trainTaskId(slot))?.status === "done");
}

/** Classes, "none of these" aside, that no branch of these slots answers for. */
export function missingClasses(run: Run, slots: Iterable<string>): readonly number[] {
  const covered = new Set([...slots].flatMap((slot) => run.slots.get(slot)?.taskSet ?? []));
  const { classNames, otherClass } = run.definition;
  return classNames.flatMap((_, classId) => (covered.has(classId) || classId === otherClass ? [] : [classId]));
}

/** How far a run has come. */
export function totalsOf(run: Run): RunTotals {
  const tasks = { total: run.tasks.size, leased: 0, done: 0, failed: 0 };
  for (const { status, leases } of run.tasks.values()) {
    if (leases.length > 0) tasks.leased++;
    if (status === "done") tasks.done++;
    if (status === "givenUp") tasks.failed++;
  }
  const { classNames, otherClass } = run.definition;
  const ownable = classNames.length - (otherClass === undefined ? 0 : 1);
  return { tasks, classes: ownable, covered: ownable - missingClasses(run, run.slotOrder).length, devices: run.slotOrder.size };
}

export const trainTaskId = (slot: string): string => `train-${slot}`;
export const settleTaskId = (slot: string, pass: number): string => `settle${pass}-${slot}`;
export const statisticsTaskId = (slot: string): string => `statistics-${slot}`;
