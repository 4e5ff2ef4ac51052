/** Why a run or a device waits, as people should hear it: a code to act on and a sentence. Pure; the views ask it. */
import type { WaitingCode, WaitsFor } from "../protocol/operatorMessages.ts";
import { formatDuration } from "../util/format.ts";
import { takesPart } from "./holdings.ts";
import { currentRuns, type Device, isOver, type Run, type State, type Task, totalsOf } from "./state.ts";

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

/** What a run waits for; undefined where it is over or somebody is at work on it. */
export function runWaitsFor(run: Run): WaitsFor | undefined {
  if (isOver(run) || run.phase === "assemble") return undefined;
  if (run.paused) return because("paused", "The run is paused; `sheaf runs resume` lets it go on.");
  if (run.phase === "gathering") return gatheringFor(run);
  if (run.remaining === 0 || totalsOf(run).tasks.leased > 0) return undefined;
  const slots = new Set([...run.open].flatMap(([, taskId]) => run.tasks.get(taskId)?.slot ?? []));
  return because(
    "noWorker",
    `Nobody is at work on it; the parts of ${some([...slots])} wait for these devices, or for others with such samples.`,
  );
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
    return because("otherDevices", `Its part of run "${name}" is done so far; ${run.remaining} open tasks are others'.`);
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
