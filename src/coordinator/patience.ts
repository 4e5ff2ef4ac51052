/**
 * For how long a run waits for somebody to take a task. There is a hard limit; and where nothing else is left to do, nobody waits longer than
 * `lostAfterSeconds` for devices that are not heard of, or at all for those that may not do it any more or were excused. Pure.
 */
import type { Fact } from "./events.ts";
import { audibleMs, type Liveness, waitedMs } from "./liveness.ts";
import { couldStandIn } from "./schedule.ts";
import { possibleStandIns } from "./standIns.ts";
import { type Device, isOver, type Run, type State, type Task } from "./state.ts";
import { upTo } from "./timeline.ts";

/** Whether nobody is at work on what is left of a run. */
export const isQuiet = (run: Run): boolean => run.remaining === run.open.size;

const mayDo = ({ excused }: Run, task: Task, device: Device): boolean =>
  device.revokedAt === undefined && !excused.has(device.deviceId) && task.faults.get(device.deviceId)?.until !== Number.POSITIVE_INFINITY;

/** For how long a device could have come and was not heard of. One for which the run waited in vain before has no second chance until it is. */
function silentMs(run: Run, { deviceId }: Device, liveness: Liveness, now: number): number {
  const inVain = run.ownTasks.get(deviceId)?.some((taskId) => run.tasks.get(taskId)?.status === "givenUp");
  return audibleMs(liveness, Math.max(liveness.seenAt.get(deviceId) ?? 0, inVain ? 0 : run.quietSince), now);
}

/** Until when an open task that nobody is at work on waits, if nobody is heard of until then; in the past where nothing is left to wait for. */
export function waitsUntil(state: State, run: Run, task: Task, liveness: Liveness, now: number): number {
  const { giveUpAfterSeconds, lostAfterSeconds, substituteAfterSeconds, leaseSeconds } = run.definition.policy;
  const limit = now + 1000 * giveUpAfterSeconds - waitedMs(liveness, task.openedAt, now);
  const slot = run.slots.get(task.slot);
  if (lostAfterSeconds === undefined || !slot || !isQuiet(run)) return limit;
  const owner = state.devices.get(slot.deviceId);
  const forOwner =
    owner && mayDo(run, task, owner) ? now + 1000 * lostAfterSeconds - silentMs(run, owner, liveness, now) : Number.NEGATIVE_INFINITY;
  if (forOwner > now) return Math.min(limit, forOwner);
  // Others must have had the time to be offered it.
  const patienceMs = 1000 * Math.max(lostAfterSeconds, substituteAfterSeconds + leaseSeconds);
  const quietMs = audibleMs(liveness, run.quietSince, now);
  const isOthers = (device: Device): boolean =>
    device.deviceId !== slot.deviceId &&
    mayDo(run, task, device) &&
    silentMs(run, device, liveness, now) < patienceMs &&
    couldStandIn(state, run, slot, task.kind, device);
  return Math.min(
    limit,
    quietMs < patienceMs && possibleStandIns(state, run, slot, task.kind).some(isOthers) ? now + patienceMs - quietMs : forOwner,
  );
}

/** So much time passes for each open task of quiet runs until all of them are looked at again: hardly any for a few, minutes for a hundred thousand. */
const quietLookMs = 1;

/** When all open tasks of quiet runs are to be looked at next. */
export function nextQuietLook(runs: readonly Run[], { quietLookAt }: Liveness, now: number): number {
  if (quietLookAt > now) return quietLookAt;
  return now + quietLookMs * runs.filter(isQuiet).reduce((sum, { open }) => sum + open.size, 0);
}

/** Open tasks that may have waited long enough: of a quiet run now and then all, else those that have waited longest. */
function overripe({ lastAt }: State, run: Run, { quietLookAt }: Liveness, now: number): Iterable<string> {
  const { giveUpAfterSeconds } = run.definition.policy;
  if (isQuiet(run) && quietLookAt <= now) return upTo(run.open, Number.POSITIVE_INFINITY);
  // After a clock was set back, times do not tell.
  return upTo(run.open, now < lastAt ? Number.POSITIVE_INFINITY : now - 1000 * giveUpAfterSeconds);
}

/** Tasks that nobody will do any more. */
export function hopeless(state: State, run: Run, liveness: Liveness, now: number): readonly Fact[] {
  if (run.paused || isOver(run)) return [];
  const { giveUpAfterSeconds, maximumAttempts } = run.definition.policy;
  const reasonOf = (task: Task): string | undefined => {
    const { attempts, openedAt, slot } = task;
    if (attempts >= maximumAttempts) return `${attempts} leases of the part of "${slot}" came to nothing.`;
    if (waitsUntil(state, run, task, liveness, now) > now) return undefined;
    if (waitedMs(liveness, openedAt, now) >= 1000 * giveUpAfterSeconds)
      return `Nobody who could do it came for the part of "${slot}" for ${giveUpAfterSeconds} s.`;
    const owner = state.devices.get(run.slots.get(slot)?.deviceId ?? "");
    const name = owner?.name ?? "its device";
    if (owner && run.excused.has(owner.deviceId))
      return `All else was done, ${name} was excused from the run, and nobody else could do the part of "${slot}".`;
    return owner && mayDo(run, task, owner)
      ? `All else was done, ${name} was not heard of, and nobody else could do the part of "${slot}" (serve.lostAfterSeconds).`
      : `All else was done, ${name} may not do the part of "${slot}" any more, and nobody else could.`;
  };
  const ripe = new Set([...upTo(run.exhausted, Number.POSITIVE_INFINITY), ...overripe(state, run, liveness, now)]);
  const given = [...ripe].flatMap((taskId): (Fact & { readonly type: "task.givenUp" })[] => {
    const task = run.tasks.get(taskId);
    const reason = task && reasonOf(task);
    return reason === undefined ? [] : [{ type: "task.givenUp", runId: run.runId, taskId, reason }];
  });
  return given.sort((a, b) => (a.taskId < b.taskId ? -1 : 1));
}
