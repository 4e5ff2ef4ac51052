/**
 * What a command leads to: facts, a reply and signs of life, or a refusal. Pure: commands are not HTTP requests, nothing is read or written here, and
 * whether the caller is who it says was settled before. Every command may come twice, late or never; the reply to a repeated one is that to the first.
 */

import type { ProtocolErrorCode } from "../protocol/errors.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import { canonicalJson } from "../util/json.ts";
import type { Answer, Assignment, CommandOf, CommandType, Decision, DecisionContext, Refusal, Replies, Submission } from "./commands.ts";
import type { DeviceFacts, Fact, Slot } from "./events.ts";
import { fold } from "./fold.ts";
import { expiryOf, leasesToLookAt, type Signs } from "./liveness.ts";
import { hopeless, nextQuietLook } from "./patience.ts";
import { missingIn } from "./progress.ts";
import { type Asking, chooseTask, expectedSeconds, stuckAt } from "./schedule.ts";
import {
  currentRuns,
  type Device,
  type EndedLease,
  freeShards,
  harvestedSlots,
  isOver,
  isWorking,
  type Lease,
  missingClasses,
  type Run,
  type State,
  type Task,
} from "./state.ts";

type Rule<T extends CommandType> = (state: State, command: CommandOf<T>, context: DecisionContext) => Decision<Replies[T]>;

const refuse = (code: ProtocolErrorCode, message: string): Refusal => ({ ok: false, code, message });
const done = <Reply>(reply: Reply, facts: readonly Fact[] = [], signs: Signs = {}): Decision<Reply> => ({ ok: true, facts, reply, signs });
const same = (a: unknown, b: unknown): boolean => canonicalJson(a) === canonicalJson(b);

function deviceOf(state: State, deviceId: string): Device | Refusal {
  const device = state.devices.get(deviceId);
  if (!device) return refuse("unauthenticated", `No device "${deviceId}" is enrolled here; enrol with a join token.`);
  if (device.revokedAt !== undefined) return refuse("revoked", `Device "${deviceId}" was revoked; it may not take part any more.`);
  return device;
}

/** A lease of this device, live or ended. */
function leaseOf(state: State, deviceId: string, leaseId: string): Lease | EndedLease | Refusal {
  const device = deviceOf(state, deviceId);
  if ("ok" in device) return device;
  const lease = state.leases.get(leaseId) ?? state.endedLeases.get(leaseId);
  if (!lease) return refuse("leaseLost", `There is no lease "${leaseId}", or its run was archived; ask for another offer.`);
  return lease.deviceId === deviceId ? lease : refuse("forbidden", `Lease "${leaseId}" is another device's.`);
}

function runOf(state: State, runId: string): Run | Refusal {
  return state.runs.get(runId) ?? refuse("notFound", `There is no run "${runId}".`);
}

/**
 * Changes a run where the change makes sense; `facts` says what there is to do, an empty list where that is done already. An archived run does not change:
 * the answer is then `archived`, a refusal by default.
 */
function onRun<T extends object>(
  state: State,
  runId: string,
  facts: (run: Run) => readonly Fact[] | Refusal,
  reply: T,
  archived: Decision<T> = refuse("conflict", `Run "${runId}" is archived; create another.`),
): Decision<T> {
  if (state.archive.has(runId)) return archived;
  const run = runOf(state, runId);
  if ("ok" in run) return run;
  const made = facts(run);
  return "ok" in made ? made : done(reply, made);
}

const hashes = (outputs: readonly ObjectReference[]): string =>
  outputs
    .map(({ role, sha256 }) => `${role} ${sha256}`)
    .sort()
    .join("\n");

/**
 * What is known of a result before anybody looks at it: an answer, where the same was answered before or nobody needs it any more; else `inspect`,
 * for which the gate is to judge it. A result is welcome as long as its task is open, also from a lease that has lapsed.
 */
export function judgementOf(
  state: State,
  { deviceId, leaseId, outputs }: Submission,
): { readonly type: "answered"; readonly answer: Answer } | { readonly type: "inspect"; readonly run: Run; readonly task: Task } | Refusal {
  const lease = leaseOf(state, deviceId, leaseId);
  if ("ok" in lease) return lease;
  const run = state.runs.get(lease.runId) as Run;
  const task = run.tasks.get(lease.taskId) as Task;
  const answered = (accepted: boolean, reason?: string) =>
    ({ type: "answered", answer: { accepted, ...(reason === undefined ? {} : { reason }) } }) as const;
  if (task.result) {
    const first = hashes(task.result.outputs) === hashes(outputs);
    return first ? answered(true) : answered(false, "Another result of this task was accepted first.");
  }
  const refused = run.quarantined.find((q) => q.taskId === task.taskId && q.deviceId === deviceId && hashes(q.outputs) === hashes(outputs));
  if (refused) return answered(false, refused.reason);
  if (isOver(run)) return answered(false, `Run "${run.definition.name}" is over.`);
  if (task.status === "givenUp") return answered(false, "The task was given up before this result came.");
  if (task.faults.get(deviceId)?.until === Number.POSITIVE_INFINITY)
    return answered(false, "An earlier result or failure of this device barred it from the task.");
  return { type: "inspect", run, task };
}

function offerFor(
  state: State,
  device: Device,
  asking: Asking,
  { now, newId, liveness }: DecisionContext,
): Decision<Replies["requestOffer"]> {
  const assignment = (lease: Lease, run: Run, expiresAt: number): Assignment => {
    const task = run.tasks.get(lease.taskId) as Task;
    return { lease, run, task, slot: run.slots.get(task.slot) as Slot, expiresAt };
  };
  const { deviceId } = device;
  const held = state.leases.get(state.leaseOfDevice.get(deviceId) ?? "");
  // The answer may have been lost, or the device restarted: its lease goes on.
  if (held) {
    const run = state.runs.get(held.runId) as Run;
    const expiresAt = now + 1000 * run.definition.policy.leaseSeconds;
    return done({ assignment: assignment(held, run, expiresAt) }, [], { deviceId, renewed: { leaseId: held.leaseId, expiresAt } });
  }
  const choice = chooseTask(state, device, asking, liveness, now);
  if (!choice) return done({ assignment: undefined }, [], { deviceId });
  const { run, task, slot, why } = choice;
  const leaseId = newId();
  const expiresAt = now + 1000 * run.definition.policy.leaseSeconds;
  const fact = {
    type: "offer.leased",
    runId: run.runId,
    taskId: task.taskId,
    leaseId,
    deviceId,
    expiresAt,
    expectedSeconds: expectedSeconds(run, slot, task.kind, device.profile),
    why,
  } as const;
  const after = fold(state, { ...fact, at: now });
  const lease = after.leases.get(leaseId) as Lease;
  const renewed = { leaseId, expiresAt };
  return done({ assignment: assignment(lease, after.runs.get(run.runId) as Run, expiresAt) }, [fact], { deviceId, renewed });
}

const factsOf = ({ name, profile, data, software, preferredClasses }: DeviceFacts): DeviceFacts => ({
  name,
  profile,
  data,
  software,
  ...(preferredClasses ? { preferredClasses } : {}),
});

const rules: { readonly [T in CommandType]: Rule<T> } = {
  noteJoinToken: (_, { by, role, uses, expiresAt }) => done({}, [{ type: "joinToken.created", by, role, uses, expiresAt }]),
  enrol: (state, { publicKey, ...command }, { newId }) => {
    const facts = factsOf(command);
    const deviceId = state.deviceOfKey.get(publicKey);
    if (deviceId === undefined) {
      const created = newId();
      return done({ deviceId: created }, [{ type: "device.enrolled", deviceId: created, publicKey, ...facts }], { deviceId: created });
    }
    const device = deviceOf(state, deviceId);
    if ("ok" in device) return device;
    return done({ deviceId }, same(facts, factsOf(device)) ? [] : [{ type: "device.updated", deviceId, ...facts }], { deviceId });
  },
  requestOffer: (state, { data, ...asking }, context) => {
    const device = deviceOf(state, asking.deviceId);
    if ("ok" in device) return device;
    if (!data || same(data, device.data)) return offerFor(state, device, asking, context);
    const updated = { type: "device.updated", deviceId: device.deviceId, ...factsOf({ ...device, data }) } as const;
    const after = fold(state, { ...updated, at: context.now });
    const decision = offerFor(after, after.devices.get(device.deviceId) as Device, asking, context);
    return decision.ok ? { ...decision, facts: [updated, ...decision.facts] } : decision;
  },
  takeShard: (state, { deviceId, runId: asked }) => {
    const device = deviceOf(state, deviceId);
    if ("ok" in device) return device;
    const offering = currentRuns(state).filter((run) => run.definition.offered && (asked === null || run.runId === asked));
    const going = offering.filter((run) => !isOver(run));
    const held = (runs: readonly Run[]): Run | undefined => runs.find(({ takers }) => takers.includes(deviceId));
    const free = going.find((run) => freeShards(state, run).length > 0);
    // Data of a run that is over serve the next as well, where that offers none.
    const own = held(going) ?? (free ? undefined : held(offering));
    if (own) return done({ runId: own.runId, shard: own.takers.indexOf(deviceId) }, [], { deviceId });
    if (!free) {
      const who = asked === null ? "No run here" : `Run "${asked}" does not exist, is over, or`;
      return refuse("conflict", `${who} offers data that nobody has taken; join with data of your own.`);
    }
    const { runId } = free;
    const shard = freeShards(state, free)[0] as number;
    return done({ runId, shard }, [{ type: "shard.taken", runId, deviceId, shard }], { deviceId });
  },
  heartbeat: (state, { deviceId, leaseId, report }, { now }) => {
    const lease = leaseOf(state, deviceId, leaseId);
    if ("ok" in lease) return lease;
    const run = state.runs.get(lease.runId) as Run;
    const expiresAt = now + 1000 * run.definition.policy.leaseSeconds;
    const signs: Signs = { deviceId, renewed: { leaseId, expiresAt }, report };
    if (!("end" in lease)) return done({ expiresAt, cancel: false }, [], signs);
    const task = run.tasks.get(lease.taskId) as Task;
    const isFree = isWorking(run) && task.status === "open" && task.leases.length === 0 && !state.leaseOfDevice.has(deviceId);
    const mayTry = (task.faults.get(deviceId)?.until ?? 0) <= now;
    // Nobody else has begun: going on costs nothing, and throws nothing away.
    if ((lease.end === "expired" || lease.end === "paused") && isFree && mayTry)
      return done({ expiresAt, cancel: false }, [{ type: "lease.renewed", runId: run.runId, leaseId, expiresAt }], signs);
    return done({ expiresAt: now, cancel: true }, [], { deviceId });
  },
  complete: (state, { measured, use, verdict, ...submission }) => {
    const judgement = judgementOf(state, submission);
    if ("ok" in judgement) return judgement;
    const { deviceId, leaseId, outputs } = submission;
    if (judgement.type === "answered") {
      // A live lease has nothing more to bring once its result is known not to count.
      return done(judgement.answer, [], { deviceId });
    }
    const { run, task } = judgement;
    const of = { runId: run.runId, taskId: task.taskId, leaseId, deviceId, outputs };
    if (!verdict.accepted) {
      const { reason } = verdict;
      return done({ accepted: false, reason }, [{ type: "upload.quarantined", ...of, reason }], { deviceId });
    }
    const { evaluation } = verdict;
    const optional = { ...(use ? { use } : {}), ...(evaluation ? { evaluation } : {}) };
    return done({ accepted: true }, [{ type: "lease.completed", ...of, measured, ...optional }], { deviceId });
  },
  fail: (state, { deviceId, leaseId, code, reason, retry }) => {
    const lease = leaseOf(state, deviceId, leaseId);
    if ("ok" in lease) return lease;
    return done({}, "end" in lease ? [] : [{ type: "lease.failed", runId: lease.runId, leaseId, code, reason, retry }], { deviceId });
  },
  tick: (state, _, { now, liveness }) => {
    const looked = new Map<string, number>();
    const expired: (Fact & { readonly type: "lease.expired" })[] = [];
    for (const lease of leasesToLookAt(liveness, state.leases, now)) {
      const { runId, leaseId } = lease;
      const { leaseSeconds, giveUpAfterSeconds } = (state.runs.get(runId) as Run).definition.policy;
      const silentAt = expiryOf(liveness, lease, leaseSeconds);
      const lapsesAt = Math.min(silentAt, stuckAt(lease, liveness, now, giveUpAfterSeconds));
      looked.set(leaseId, Math.max(lapsesAt, now + 1));
      if (lapsesAt <= now) expired.push({ type: "lease.expired", runId, leaseId, reason: silentAt <= now ? "silent" : "stuck" });
    }
    // In an order that follows from the state alone.
    expired.sort((a, b) => (a.leaseId < b.leaseId ? -1 : 1));
    const runs = currentRuns(state);
    const quietLookAt = nextQuietLook(runs, liveness, now);
    return done({}, [...expired, ...runs.flatMap((run) => hopeless(state, run, liveness, now))], {
      looked: { leases: looked, quietLookAt },
    });
  },
  createRun: (_, { definition }, { newId }) => {
    const runId = newId();
    return done({ runId }, [{ type: "run.created", runId, definition }]);
  },
  pauseRun: (state, { runId }) =>
    onRun(
      state,
      runId,
      (run) => {
        if (isOver(run)) return refuse("conflict", `Run "${runId}" is over and cannot be paused.`);
        return run.paused ? [] : [{ type: "run.paused", runId }];
      },
      {},
    ),
  resumeRun: (state, { runId }) =>
    onRun(
      state,
      runId,
      (run) => {
        if (run.phase === "cancelled") return refuse("conflict", `Run "${runId}" was cancelled; create another.`);
        return run.paused || run.phase === "failed" ? [{ type: "run.resumed", runId }] : [];
      },
      {},
    ),
  cancelRun: (state, { runId }) =>
    onRun(
      state,
      runId,
      (run) => {
        if (run.phase === "finished") return refuse("conflict", `Run "${runId}" is finished and cannot be cancelled.`);
        return run.phase === "cancelled" ? [] : [{ type: "run.cancelled", runId }];
      },
      {},
    ),
  archiveRun: (state, { runId }) =>
    onRun(
      state,
      runId,
      (run) => {
        if (!isOver(run)) return refuse("conflict", `Run "${runId}" is still going on; cancel it or wait for its end.`);
        return [{ type: "run.archived", runId }];
      },
      {},
      done({}),
    ),
  requestHarvest: (state, { runId }, { newId }) => {
    const harvestId = newId();
    return onRun(
      state,
      runId,
      (run) => {
        const slots = harvestedSlots(run);
        if (slots.length === 0) return refuse("conflict", `Run "${runId}" has no sub-model yet; wait for the first device to finish.`);
        return [{ type: "harvest.requested", runId, harvestId, slots, missingClasses: missingClasses(run, slots) }];
      },
      { harvestId },
    );
  },
  harvestMade: (state, { runId, harvestId, outputs, head }) =>
    onRun(
      state,
      runId,
      (run) => (isAsked(run, harvestId) ? [{ type: "harvest.made", runId, harvestId, outputs, head }] : []),
      {},
      done({}),
    ),
  harvestFailed: (state, { runId, harvestId, reason }) =>
    onRun(state, runId, (run) => (isAsked(run, harvestId) ? [{ type: "harvest.failed", runId, harvestId, reason }] : []), {}, done({})),
  runAssembled: (state, { runId, outputs }) =>
    onRun(
      state,
      runId,
      (run) => (isAssembling(run) ? [{ type: "run.finished", runId, outputs, missingClasses: missingIn(run) }] : []),
      {},
      done({}),
    ),
  assemblyFailed: (state, { runId, reason }) =>
    onRun(state, runId, (run) => (isAssembling(run) ? [{ type: "run.failed", runId, reason }] : []), {}, done({})),
  revokeDevice: (state, { deviceId, reason }) => {
    const device = state.devices.get(deviceId);
    if (!device) return refuse("notFound", `There is no device "${deviceId}".`);
    return done({}, device.revokedAt === undefined ? [{ type: "device.revoked", deviceId, reason }] : []);
  },
  excuseDevice: (state, { runId, deviceId, reason }) =>
    onRun(
      state,
      runId,
      (run) => {
        if (!state.devices.has(deviceId)) return refuse("notFound", `There is no device "${deviceId}".`);
        if (isOver(run)) return refuse("conflict", `Run "${runId}" is over and waits for nobody.`);
        if (!run.ownTasks.has(deviceId))
          return refuse("conflict", `Device "${deviceId}" has no part in run "${runId}", which does not wait for it.`);
        return run.excused.has(deviceId) ? [] : [{ type: "device.excused", runId, deviceId, reason }];
      },
      {},
    ),
};

const isAssembling = (run: Run): boolean => run.phase === "assemble";

const isAsked = (run: Run, harvestId: string): boolean =>
  run.harvests.some((h) => h.harvestId === harvestId && h.outputs === undefined && h.reason === undefined);

/** Decides on a command. Nothing has happened until the facts are in the log; see `execute.ts` for what follows from them. */
export function decide<T extends CommandType>(state: State, command: CommandOf<T>, context: DecisionContext): Decision<Replies[T]> {
  return (rules[command.type] as Rule<T>)(state, command, context);
}
