/** Why a run or a device waits, as people should hear it: a code to act on and a sentence. Pure; the views ask it. */
import type { WaitingCode, WaitsFor } from "../protocol/operatorMessages.ts";
import { formatDuration } from "../util/format.ts";
import { takesPart } from "./holdings.ts";
import { awayMs, type Liveness } from "./liveness.ts";
import { isQuiet, waitsUntil } from "./patience.ts";
import { currentRuns, type Device, isOver, type Run, type State, type Task } from "./state.ts";

const because = (code: WaitingCode, reason: string): WaitsFor => ({ code, reason });

/** The first few of some names. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

/** Before the plan. */
function gatheringFor({ definition, gathered, reason }: Run): WaitsFor {
  const { classNames, otherClass, policy } = definition;
  const there = gathered?.devices ?? 0;
  if (there < policy.minimumDevices)
    return because("fewDevices", `${there} of ${policy.minimumDevices} devices with samples for it have joined (serve.minimumDevices).`);
  const short = classNames.filter((_, classId) => classId !== otherClass && (gathered?.owners[classId] ?? 0) < policy.minimumOwners);
  if (short.length > 0) {
    const held =
      policy.minimumOwners === 1 ? "nobody has samples" : `fewer than ${policy.minimumOwners} devices have samples (serve.minimumOwners)`;
    return because("classWithoutOwner", `Of ${some(short)} ${held}; join a device that has, or set serve.startBySeconds to begin without.`);
  }
  return because("noPlan", reason ?? "No plan was made yet.");
}

/** A device that is missed, and since when. */
function missed({ deviceId, name }: Device, { seenAt, startedAt }: Liveness, now: number): string {
  const at = seenAt.get(deviceId);
  if (at !== undefined && now - at < awayMs) return name;
  return at === undefined
    ? `${name} (not heard of since the coordinator was started ${formatDuration(now - startedAt)} ago)`
    : `${name} (not heard of for ${formatDuration(now - at)})`;
}

/** Nobody is at work on what is left: for whom the run waits, until when, and how not to. */
function absentFor(state: State, run: Run, liveness: Liveness, now: number): WaitsFor {
  const tasks = [...run.open].flatMap(([, taskId]) => run.tasks.get(taskId) ?? []);
  const owners = [...new Set(tasks.map(({ slot }) => run.slots.get(slot)?.deviceId ?? ""))].flatMap((id) => state.devices.get(id) ?? []);
  const until = tasks.reduce((latest, task) => Math.max(latest, waitsUntil(state, run, task, liveness, now)), now);
  const names = some(owners.map((device) => missed(device, liveness, now)));
  const left = formatDuration(until - now);
  return {
    ...because(
      "noWorker",
      `Nobody is at work on it; it waits for ${names}, or for others with such samples, and goes on without them in ${left}. \`sheaf devices excuse\` lets it go on at once without one that will not come; \`sheaf harvest\` makes a model of what is there.`,
    ),
    until,
  };
}

/** What a run waits for; undefined where it is over or somebody is at work on it. */
export function runWaitsFor(state: State, run: Run, liveness: Liveness, now: number): WaitsFor | undefined {
  if (isOver(run) || run.phase === "assemble") return undefined;
  if (run.paused) return because("paused", "The run is paused; `sheaf runs resume` lets it go on.");
  if (run.phase === "gathering") return gatheringFor(run);
  return run.remaining === 0 || !isQuiet(run) ? undefined : absentFor(state, run, liveness, now);
}

/** What is between a device and a task of its own; undefined where the task is not open. */
function ownTaskFor(task: Task, { deviceId }: Device, now: number): WaitsFor | undefined {
  if (task.status !== "open") return undefined;
  const until = task.faults.get(deviceId)?.until ?? 0;
  if (until === Number.POSITIVE_INFINITY)
    return because("barred", `It may not try ${task.taskId} again after what it handed in or said; others may.`);
  if (until > now) return because("resting", `It failed at ${task.taskId} and may try again in ${formatDuration(until - now)}.`);
  if (task.leases.length > 0) return because("otherDevices", `Another device is at work on ${task.taskId} in its place.`);
  return because("due", `${task.taskId} is given to it when it next asks for work.`);
}

function deviceInRun(run: Run, device: Device, now: number): WaitsFor {
  const { name } = run.definition;
  if (run.paused) return because("paused", `Run "${name}" is paused.`);
  if (run.phase === "gathering") return because("gathering", `Run "${name}" has not begun: ${gatheringFor(run).reason}`);
  const tasks = (run.ownTasks.get(device.deviceId) ?? []).flatMap((taskId) => run.tasks.get(taskId) ?? []);
  for (const task of tasks) {
    const found = ownTaskFor(task, device, now);
    if (found) return found;
  }
  if (run.phase === "assemble") return because("otherDevices", `Run "${name}" has all that it needs, and its model is put together.`);
  if (tasks.length > 0)
    return because(
      "otherDevices",
      `Its part of run "${name}" is done so far; ${run.remaining === 1 ? "one open task is another's" : `${run.remaining} open tasks are others'`}.`,
    );
  return because("noPart", `It has no part in the plan of run "${name}"; it takes over the part of a device that stays away.`);
}

/** From what a device can do least about to what says most: of several runs the last that applies is told. */
const precedence: readonly WaitingCode[] = ["noSamples", "noPart", "paused", "gathering", "otherDevices", "barred", "resting", "due"];

/** What a device without a lease waits for; undefined for one that is at work or was turned away. */
export function deviceWaitsFor(state: State, device: Device, now: number): WaitsFor | undefined {
  if (device.revokedAt !== undefined || state.leaseOfDevice.has(device.deviceId)) return undefined;
  const runs = currentRuns(state).filter((run) => !isOver(run));
  if (runs.length === 0) return because("noRun", "No run is going on; `sheaf runs create` begins one.");
  const reasons = runs.map((run) =>
    takesPart(run.definition, device)
      ? deviceInRun(run, device, now)
      : because("noSamples", `Its samples are not of the classes and the shape of run "${run.definition.name}".`),
  );
  return reasons.reduce((best, next) => (precedence.indexOf(next.code) > precedence.indexOf(best.code) ? next : best));
}
