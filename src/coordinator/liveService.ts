/**
 * The coordinator that the server asks: requests become commands, results pass the gate before they count, and what the state machine asks of the
 * coordinator itself (models to assemble) is done one after another and taken up again after a restart.
 */

import { ProtocolError } from "../protocol/errors.ts";
import type { ObjectReference, OfferAnswer, OfferRequest } from "../protocol/messages.ts";
import type { Shard } from "../protocol/offered.ts";
import type { HarvestAnswer, RunRequest, RunSummary, WatchEvent } from "../protocol/operatorMessages.ts";
import { SheafError } from "../util/errors.ts";
import type { LogEntry } from "./chain.ts";
import type { Verdict } from "./commands.ts";
import { openCurves } from "./curves.ts";
import { judgementOf } from "./decide.ts";
import { type Event, type EventType, type RunDefinition, runOf } from "./events.ts";
import { type Outstanding, outstanding } from "./execute.ts";
import { retryAfterMs } from "./idle.ts";
import type { Live } from "./live.ts";
import type { Caller, CommandOf, CommandRoute, Coordinator } from "./service.ts";
import { inputsOf, taskSpec } from "./spec.ts";
import { type ArchivedRun, currentRuns, isOver, type Run, type State, type Task } from "./state.ts";
import type { EventLog } from "./store.ts";
import { openTaskObjects, type TaskObjectsOptions } from "./taskObjects.ts";
import {
  archivedDetail,
  archivedSummary,
  deviceSummary,
  invitedRun,
  modelRole,
  runDetail,
  runSummary,
  takenShard,
  watchEvent,
} from "./views.ts";
import { runWaitsFor } from "./waiting.ts";
import { openWakes } from "./wakes.ts";

/** A model from what is there. */
export interface Assembled {
  /** The model has the role `model`. */
  readonly outputs: readonly ObjectReference[];
  readonly head: string;
}

export interface LiveServiceOptions extends TaskObjectsOptions {
  readonly live: Live;
  readonly log: EventLog<LogEntry>;
  readonly now: () => number;
  /** A run's definition from a request. Throws a `SheafError` with the reason where it makes none. */
  readonly define: (request: RunRequest) => Promise<RunDefinition>;
  /** Judges a result whose objects a device says it uploaded. Refuses, does not throw, where they are not there or not what they should be. */
  readonly gate: (run: Run, task: Task, outputs: readonly ObjectReference[]) => Promise<Verdict>;
  /** Makes a run's model, or with `slots` one of these branches. */
  readonly assemble: (run: Run, slots?: readonly string[]) => Promise<Assembled>;
}

export interface LiveService extends Coordinator, AsyncDisposable {
  /** Whether an object is part of a result that is being judged: nothing refers to it yet, and it must not be removed. */
  isJudged(sha256: string): boolean;
  /** Names of objects that tasks may need now and that the state does not speak of; a collection must leave them alone. */
  taskObjects(): ReadonlySet<string>;
  /** Waits for the work in progress, then takes up none. Does not close `live`. */
  close(): Promise<void>;
}

/** Events after which a device that waits for work should ask again. */
const mayBringWork: ReadonlySet<EventType> = new Set<EventType>([
  "phase.started",
  "plan.extended",
  "run.resumed",
  "lease.expired",
  "lease.failed",
  "upload.quarantined",
  "device.revoked",
  "device.excused",
]);

/** The devices that may find work after an event where they found none before, of those that wait for it. */
export function wokenBy(state: State, event: Event): "all" | readonly string[] {
  if (!mayBringWork.has(event.type)) return [];
  const run = "runId" in event ? state.runs.get(event.runId) : undefined;
  if (!run || !("tasks" in event || "leaseId" in event)) return "all";
  const taskIds = "tasks" in event ? event.tasks.map(({ taskId }) => taskId) : [state.endedLeases.get(event.leaseId)?.taskId ?? ""];
  const tasks = taskIds.flatMap((taskId) => run.tasks.get(taskId) ?? []);
  // What need not wait for its own device is anybody's. Of other such tasks all have heard.
  if (tasks.some(({ openedAt, taskId }) => run.orphaned.has(openedAt, taskId))) return "all";
  // The rest others may take only later, and ask again by then.
  return tasks.flatMap(({ slot }) => run.slots.get(slot)?.deviceId ?? []);
}
/** Reports of progress that wait for a watcher at most. */
const mostUntold = 1000;

/** Room for what a device uploads beside what was planned. */
const spareUploadBytes = 2 ** 24;
const uploadFactor = 4;

type Handlers = { readonly [N in CommandRoute]: (command: CommandOf<N>) => ReturnType<Coordinator["apply"]> };

const deviceIdOf = ({ role, subject }: Caller): string => {
  if (role !== "device") throw new ProtocolError("forbidden", "Only a device may do this.");
  return subject;
};

/** Opens the service; work that was asked for before a restart begins at once. */
export function openLiveService({ live, log, now, define, gate, assemble, ...making }: LiveServiceOptions): LiveService {
  let closed = false;
  let working: Promise<void> | undefined;
  const wakes = openWakes();
  const taskObjects = openTaskObjects(making);
  const judging = new Map<string, Promise<Verdict>>();
  const judged = new Set<readonly ObjectReference[]>();
  const curves = openCurves();

  const runIn = (runId: string): Run => {
    const run = live.state.runs.get(runId);
    if (run) return run;
    throw live.state.archive.has(runId)
      ? new ProtocolError("conflict", `Run "${runId}" is archived; create another.`)
      : new ProtocolError("notFound", `There is no run "${runId}".`);
  };
  const isRunOver = (runId: string): boolean => live.state.archive.has(runId) || isOver(runIn(runId));
  const summaryOf = (run: Run): RunSummary => runSummary(run, runWaitsFor(live.state, run, live.liveness, now()));
  const summaryIn = (runId: string): RunSummary => {
    const archived = live.state.archive.get(runId);
    return archived ? archivedSummary(archived) : summaryOf(runIn(runId));
  };
  /** The definition of a run that was archived, which the log alone still has. */
  const definitionIn = async ({ runId, createdIn }: ArchivedRun): Promise<RunDefinition> => {
    for await (const { event } of log.read({ after: createdIn - 1, limit: 1 })) {
      if (event.type === "run.created" && event.runId === runId) return event.definition;
    }
    throw new SheafError(
      "corrupt",
      `The log lacks entry ${createdIn}, which created run "${runId}"; restore the data directory from a backup.`,
    );
  };

  const carryOut = async (work: Outstanding): Promise<void> => {
    const { runId } = work;
    const run = runIn(runId);
    try {
      if (work.type === "assemble") await live.do({ type: "runAssembled", runId, outputs: (await assemble(run)).outputs });
      else await live.do({ type: "harvestMade", runId, harvestId: work.harvestId, ...(await assemble(run, work.slots)) });
    } catch (error) {
      const reason = error instanceof SheafError ? error.message : `The model could not be made: ${String(error)}`;
      await live.do(
        work.type === "assemble"
          ? { type: "assemblyFailed", runId, reason }
          : { type: "harvestFailed", runId, harvestId: work.harvestId, reason },
      );
    }
  };
  const workOff = async (): Promise<void> => {
    try {
      for (let [next] = outstanding(live.state); next && !closed; [next] = outstanding(live.state)) await carryOut(next);
    } catch {
      // The log cannot be written now; the work stays outstanding, and the next entry that is written takes it up again.
    } finally {
      working = undefined;
    }
  };
  const takeUp = (): void => {
    if (!closed && outstanding(live.state).length > 0) working ??= workOff();
  };
  const stopListening = live.listen((entries) => {
    takeUp();
    for (const { event } of entries) {
      if (event.type === "run.archived") curves.forget(event.runId);
      const devices = wokenBy(live.state, event);
      if (devices === "all") wakes.wakeAll();
      else for (const deviceId of devices) wakes.wake(deviceId);
    }
  });
  takeUp();

  const offer = async (deviceId: string, { waitMs, ...asking }: OfferRequest, signal: AbortSignal): Promise<OfferAnswer> => {
    const until = now() + waitMs;
    const waiter = wakes.open(deviceId);
    try {
      for (;;) {
        const { assignment } = await live.do({ type: "requestOffer", deviceId, ...asking });
        if (assignment) {
          const { lease, run, task, expiresAt } = assignment;
          const { leaseId, runId } = lease;
          const heartbeatMs = 1000 * run.definition.policy.heartbeatSeconds;
          const { objects } = await taskObjects.of(run, task);
          const spec = taskSpec(run, task, objects);
          return {
            offer: { leaseId, runId, kind: task.kind, spec, inputs: inputsOf(run, objects), expiresAt, heartbeatMs },
            retryAfterMs: 0,
            now: now(),
          };
        }
        const left = until - now();
        if (left <= 0 || signal.aborted || closed) {
          return { offer: null, retryAfterMs: Math.max(waitMs > 0 ? 0 : 1000, retryAfterMs(live.state.devices.size, waitMs)), now: now() };
        }
        await waiter.wait(left, signal);
      }
    } finally {
      waiter.close();
    }
  };

  const harvest = async (runId: string, signal: AbortSignal): Promise<HarvestAnswer> => {
    const { harvestId } = await live.do({ type: "requestHarvest", runId });
    const waiter = wakes.open(harvestId);
    try {
      for (;;) {
        const found = runIn(runId).harvests.find((h) => h.harvestId === harvestId);
        if (found?.reason !== undefined) throw new ProtocolError("unacceptable", found.reason);
        const model = found?.outputs?.find(({ role }) => role === modelRole);
        if (found && model) {
          const { classNames } = runIn(runId).definition;
          const missing = found.missingClasses.map((classId) => classNames[classId] ?? "");
          return { model, head: found.head ?? "", devices: found.slots, missingClasses: missing };
        }
        if (signal.aborted || closed) throw new ProtocolError("unavailable", "The harvest goes on; ask for it again in a moment.");
        await waiter.wait(200, signal);
      }
    } finally {
      waiter.close();
    }
  };

  const complete = async (command: CommandOf<"complete">) => {
    const { caller, parameter: leaseId, body } = command;
    const submission = { deviceId: deviceIdOf(caller), leaseId, outputs: body.outputs };
    const judgement = judgementOf(live.state, submission);
    if ("ok" in judgement) throw new ProtocolError(judgement.code, judgement.message);
    if (judgement.type === "answered")
      return judgement.answer.reason === undefined
        ? { accepted: judgement.answer.accepted }
        : { accepted: judgement.answer.accepted, reason: judgement.answer.reason };
    const { run, task } = judgement;
    // The same request again, while the first is being judged, waits for the same verdict.
    const key = `${run.runId} ${task.taskId} ${body.outputs.map(({ role, sha256 }) => `${role}=${sha256}`).join(" ")}`;
    judged.add(body.outputs);
    try {
      const verdict = judging.get(key) ?? gate(run, task, body.outputs).finally(() => judging.delete(key));
      judging.set(key, verdict);
      const { measured, use } = body;
      const answer = await live.do({ type: "complete", ...submission, measured, use, verdict: await verdict });
      return answer.reason === undefined ? { accepted: answer.accepted } : { accepted: answer.accepted, reason: answer.reason };
    } finally {
      judged.delete(body.outputs);
    }
  };

  const onRun =
    (type: "pauseRun" | "resumeRun" | "cancelRun" | "archiveRun") =>
    async ({ parameter: runId }: { readonly parameter: string }) => {
      await live.do({ type, runId });
      return summaryIn(runId);
    };

  const handlers: Handlers = {
    takeShard: async ({ caller, body: { runId } }) => {
      const taken = await live.do({ type: "takeShard", deviceId: deviceIdOf(caller), runId });
      return takenShard(runIn(taken.runId), taken.shard) as Shard;
    },
    offer: async ({ caller, body, signal }) => offer(deviceIdOf(caller), body, signal),
    heartbeat: async ({ caller, parameter: leaseId, body }) => {
      const answer = await live.do({ type: "heartbeat", deviceId: deviceIdOf(caller), leaseId, report: body });
      const lease = live.state.leases.get(leaseId);
      const run = lease && live.state.runs.get(lease.runId);
      if (lease && run) curves.report(run, lease, body, now());
      return { ...answer, now: now() };
    },
    complete,
    fail: async ({ caller, parameter: leaseId, body }) => {
      await live.do({ type: "fail", deviceId: deviceIdOf(caller), leaseId, ...body });
      return {};
    },
    listRuns: async ({ query }) => ({
      runs: [
        ...live.state.runs.valueSeq().map(summaryOf),
        ...(query?.archived === "true" ? live.state.archive.valueSeq().map(archivedSummary) : []),
      ].sort((a, b) => a.createdAt - b.createdAt),
    }),
    createRun: async ({ body }) => {
      const definition = await define(body).catch((error: unknown) => {
        throw error instanceof SheafError && !(error instanceof ProtocolError)
          ? new ProtocolError("unacceptable", error.message, { cause: error })
          : error;
      });
      return summaryOf(runIn((await live.do({ type: "createRun", definition })).runId));
    },
    getRun: async ({ parameter }) => {
      const archived = live.state.archive.get(parameter);
      return archived
        ? archivedDetail(archived, await definitionIn(archived))
        : runDetail(live.state, live.liveness, runIn(parameter), now());
    },
    pauseRun: onRun("pauseRun"),
    resumeRun: onRun("resumeRun"),
    cancelRun: onRun("cancelRun"),
    archiveRun: onRun("archiveRun"),
    harvestRun: ({ parameter, signal }) => harvest(parameter, signal),
    listDevices: async ({ query }) => {
      const limit = Math.min(1000, Math.max(1, Number(query?.limit) || 100));
      const ids = [...live.state.devices.keys()].filter((id) => id > (query?.after ?? "")).sort();
      const page = ids.slice(0, limit);
      const devices = page
        .flatMap((id) => live.state.devices.get(id) ?? [])
        .map((device) => deviceSummary(live.state, live.liveness, device, now()));
      const next = page.at(-1);
      return { devices, ...(ids.length > limit && next !== undefined ? { next } : {}) };
    },
    excuseDevice: async ({ parameter: runId, body: { deviceId }, caller }) => {
      await live.do({ type: "excuseDevice", runId, deviceId, reason: `by ${caller.subject}` });
      return summaryIn(runId);
    },
    revokeDevice: async ({ parameter: deviceId, caller }) => {
      await live.do({ type: "revokeDevice", deviceId, reason: `by ${caller.subject}` });
      const device = live.state.devices.get(deviceId);
      if (!device) throw new ProtocolError("notFound", `There is no device "${deviceId}".`);
      return deviceSummary(live.state, live.liveness, device, now());
    },
  };

  async function* eventsOf(runId: string, after: number, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const fresh: LogEntry[] = [];
    let wake: () => void = () => undefined;
    const stop = live.listen((entries) => {
      fresh.push(...entries);
      wake();
    });
    const told = curves.of(runId);
    const stopHearing = curves.listen(runId, (event) => {
      // A watcher that does not read misses some of them.
      if (told.length < mostUntold) told.push(event);
      wake();
    });
    const onAbort = (): void => wake();
    signal.addEventListener("abort", onAbort);
    let last = after;
    try {
      for await (const entry of log.read({ after })) {
        if (signal.aborted) return;
        if (runOf(entry.event) === runId) yield watchEvent(entry);
        last = entry.sequence;
      }
      while (!signal.aborted && !closed) {
        for (const entry of fresh.splice(0)) {
          if (entry.sequence <= last) continue;
          last = entry.sequence;
          if (runOf(entry.event) === runId) yield watchEvent(entry);
        }
        yield* told.splice(0);
        if (fresh.length > 0 || told.length > 0) continue;
        if (isRunOver(runId)) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (signal.aborted || fresh.length > 0 || told.length > 0) resolve();
        });
      }
    } finally {
      stop();
      stopHearing();
      signal.removeEventListener("abort", onAbort);
    }
  }

  const close = async (): Promise<void> => {
    closed = true;
    stopListening();
    wakes.wakeAll();
    await working;
  };
  return {
    // The table gives each route its own types, which do not survive the index.
    apply: (command) => (handlers[command.route] as unknown as (command: unknown) => Promise<never>)(command),
    enrol: (enrolment) => live.do({ type: "enrol", ...enrolment }),
    invited: async () => [...live.state.runs.values()].filter((run) => !isOver(run)).map((run) => invitedRun(live.state, run)),
    async device(deviceId) {
      const device = live.state.devices.get(deviceId);
      return device && { publicKey: device.publicKey, revoked: device.revokedAt !== undefined };
    },
    async mayRead(deviceId, sha256) {
      const isOwnShard = ({ definition: { offered }, takers }: Run): boolean =>
        offered?.shards.some((object, shard) => object.sha256 === sha256 && takers[shard] === deviceId) ?? false;
      if (currentRuns(live.state).some(isOwnShard)) return true;
      const lease = live.state.leases.get(live.state.leaseOfDevice.get(deviceId) ?? "");
      const run = lease && live.state.runs.get(lease.runId);
      const task = lease && run?.tasks.get(lease.taskId);
      return run !== undefined && task !== undefined && (await taskObjects.of(run, task)).readable.has(sha256);
    },
    async mayUpload(deviceId, { bytes }) {
      const lease = live.state.leases.get(live.state.leaseOfDevice.get(deviceId) ?? "");
      const run = lease && live.state.runs.get(lease.runId);
      const slot = lease && run?.slots.get(run.tasks.get(lease.taskId)?.slot ?? "");
      return slot !== undefined && bytes <= uploadFactor * slot.bytesUp + spareUploadBytes;
    },
    async watch(runId, after, signal) {
      if (isRunOver(runId)) {
        let isNew = false;
        for await (const entry of log.read({ after })) if (runOf(entry.event) === runId) isNew = true;
        if (!isNew) return undefined;
      }
      return eventsOf(runId, after, signal);
    },
    async model(runId) {
      return (live.state.archive.get(runId) ?? runIn(runId)).outputs?.find(({ role }) => role === modelRole);
    },
    taskObjects: () => taskObjects.names(live.state),
    audit: (after) => log.read({ after }),
    isJudged: (name) => [...judged].some((outputs) => outputs.some(({ sha256 }) => sha256 === name)),
    async note({ type: _, ...note }) {
      await live.do({ type: "noteJoinToken", ...note });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
