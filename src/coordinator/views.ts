/** The state as people see it: summaries of runs, tasks and devices. Pure. */
import { narrow } from "../network/narrow.ts";
import type { InvitedRun } from "../protocol/invitation.ts";
import type { Shard } from "../protocol/offered.ts";
import type { DeviceSummary, RunDetail, RunStatus, RunSummary, TaskSummary, WaitsFor, WatchEvent } from "../protocol/operatorMessages.ts";
import type { LogEntry } from "./chain.ts";
import type { RunDefinition, Slot } from "./events.ts";
import { awayMs, type Liveness } from "./liveness.ts";
import { expectedSeconds } from "./schedule.ts";
import { type ArchivedRun, type Device, freeShards, type Run, type RunPhase, type State, type Task, totalsOf } from "./state.ts";
import { deviceWaitsFor, runWaitsFor } from "./waiting.ts";

const statuses: { readonly [P in RunPhase]: RunStatus } = {
  gathering: "waiting",
  train: "training",
  settle: "settling",
  statistics: "summing",
  assemble: "assembling",
  finished: "finished",
  failed: "failed",
  cancelled: "cancelled",
};

/** Role of the model among a run's outputs. */
export const modelRole = "model";

/** What is told alike of runs and archived runs. */
function summaryOf({ runId, name, createdAt, phase, reason, outputs, totals }: Omit<ArchivedRun, "harvested" | "createdIn">) {
  const { tasks, classes, covered, devices } = totals;
  const model = outputs?.find(({ role }) => role === modelRole);
  return {
    runId,
    name,
    status: statuses[phase],
    createdAt,
    tasks,
    classes: { total: classes, covered },
    devices,
    ...(model ? { model } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** A run in a line, with what it waits for where that is wanted. */
export function runSummary(run: Run, waitsFor?: WaitsFor): RunSummary {
  const summary = summaryOf({ ...run, name: run.definition.name, totals: totalsOf(run) });
  return { ...summary, archived: false, ...(run.paused ? { status: "paused" } : {}), ...(waitsFor ? { waitsFor } : {}) };
}

/** An archived run in a line. */
export function archivedSummary(run: ArchivedRun): RunSummary {
  return { ...summaryOf(run), archived: true };
}

/** All that is left of an archived run, with its definition from the log. */
export function archivedDetail(run: ArchivedRun, { classNames, config }: RunDefinition): RunDetail {
  return { ...archivedSummary(run), classNames, owners: classNames.map(() => []), taskList: [], quarantined: [], config };
}

function taskSummary(state: State, liveness: Liveness, run: Run, task: Task): TaskSummary {
  const { taskId, kind, slot, status, leases, result } = task;
  const planned = run.slots.get(slot);
  const profile = state.devices.get(planned?.deviceId ?? "")?.profile;
  return {
    taskId,
    kind,
    device: slot,
    status: status === "done" ? "done" : status === "givenUp" ? "failed" : leases.length > 0 ? "leased" : "pending",
    workers: result ? [result.deviceId] : leases.flatMap((leaseId) => state.leases.get(leaseId)?.deviceId ?? []),
    progress: status === "done" ? 1 : Math.max(0, ...leases.map((leaseId) => liveness.reports.get(leaseId)?.progress ?? 0)),
    ...(planned && profile ? { expectedSeconds: expectedSeconds(run, planned, kind, profile) } : {}),
  };
}

/** Everything about a run. */
export function runDetail(state: State, liveness: Liveness, run: Run, now: number): RunDetail {
  const slots = [...run.slotOrder].map((name) => run.slots.get(name) as Slot);
  return {
    ...runSummary(run, runWaitsFor(state, run, liveness, now)),
    classNames: run.definition.classNames,
    owners: run.definition.classNames.map((_, classId) => slots.filter(({ taskSet }) => taskSet.includes(classId)).map(({ slot }) => slot)),
    taskList: [...run.tasks.values()].sort((a, b) => (a.taskId < b.taskId ? -1 : 1)).map((task) => taskSummary(state, liveness, run, task)),
    ...(run.excused.size > 0 ? { excused: [...run.excused].sort() } : {}),
    quarantined: run.quarantined.map(({ deviceId, taskId, outputs, reason }) => ({
      device: deviceId,
      taskId,
      sha256: outputs[0]?.sha256 ?? "",
      reason,
    })),
    config: run.definition.config,
  };
}

/** What samples of a run are. */
function samplesOf({ definition: { classNames, otherClass, sampleShape, preparation } }: Run) {
  const { channels, height, width } = sampleShape;
  return {
    classNames,
    ...(otherClass === undefined ? {} : { otherClass }),
    sampleShape: { channels, height, width },
    ...(preparation ? { preparation } : {}),
  };
}

/** The part of a run's offered data that a device took. */
export function takenShard(run: Run, shard: number): Shard | undefined {
  const object = run.definition.offered?.shards[shard];
  return object && { runId: run.runId, object, ...samplesOf(run) };
}

/** A run as the bearer of a join token sees it. */
export function invitedRun(state: State, run: Run): InvitedRun {
  const { target, planning, policy, offered } = run.definition;
  const { width, maxWidth = 1, epochs, batchSize, rho } = planning;
  const samples = samplesOf(run);
  const { shards } = offered ?? { shards: [] };
  const largest = Math.max(0, ...shards.map(({ bytes }) => bytes));
  return {
    runId: run.runId,
    name: run.definition.name,
    status: runSummary(run).status,
    ...samples,
    ...(offered ? { offered: { free: freeShards(state, run).length, samples: offered.samples, bytes: largest } } : {}),
    branch: narrow(target, width ?? maxWidth, samples.classNames.length + 1),
    epochs,
    batchSize,
    rho,
    minimumDevices: policy.minimumDevices,
  };
}

/** A device in a line. */
export function deviceSummary(state: State, liveness: Liveness, device: Device, now: number): DeviceSummary {
  const { deviceId, name, enrolledAt, software, profile, data, revokedAt } = device;
  const leaseId = state.leaseOfDevice.get(deviceId);
  const seenAt = liveness.seenAt.get(deviceId) ?? enrolledAt;
  const quiet = now - seenAt > awayMs;
  const waitsFor = quiet ? undefined : deviceWaitsFor(state, device, now);
  return {
    deviceId,
    name,
    status: revokedAt !== undefined ? "revoked" : quiet ? "away" : leaseId === undefined ? "idle" : "working",
    enrolledAt,
    seenAt,
    software,
    profile,
    classes: data.classNames.filter((_, i) => (data.counts ? (data.counts[i] ?? 0) > 0 : data.present?.[i])),
    leases: leaseId === undefined ? [] : [leaseId],
    ...(waitsFor ? { waitsFor } : {}),
  };
}

/** An entry of the log for watchers; a run's definition is left out, since it is long and can be asked for. */
export function watchEvent({ sequence, event }: LogEntry): WatchEvent {
  const { type, at, ...rest } = event;
  const { definition: _, ...data } = rest as Readonly<Record<string, unknown>>;
  return { sequence, at, type, data };
}
