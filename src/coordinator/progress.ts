/**
 * How a run goes on by itself: planned when its devices are there, from phase to phase when all tasks of one are done or given up, to the assembly.
 * Pure; asked again after every change until nothing more follows.
 */

import { passesOf } from "../plan/settlePasses.ts";
import { unreachable } from "../util/errors.ts";
import { random, shuffle } from "../util/random.ts";
import type { Fact, RunDefinition, Slot, TaskSeed } from "./events.ts";
import { takesPart } from "./holdings.ts";
import type { Places } from "./places.ts";
import {
  type Device,
  harvestedSlots,
  isOver,
  missingClasses,
  type Run,
  type State,
  settleTaskId,
  statisticsTaskId,
  trainTaskId,
} from "./state.ts";

/** What a planner makes of devices: places, or the reason why there is no plan. */
export type PlanOutcome =
  | {
      readonly type: "planned";
      readonly slots: readonly Slot[];
      readonly excluded: readonly { readonly id: string; readonly reason: string }[];
    }
  | { readonly type: "refused"; readonly reason: string };

/**
 * Plans a run for devices, which come sorted; `missing` are classes that none of them holds. With `existing`, the devices are newcomers to a plan
 * with these places, whose names are taken, and only their own are asked for. Must depend on its arguments alone.
 * `planning.ts` has the real one; tests and simulations of the coordinator alone bring simpler ones.
 */
export type Planner = (
  definition: RunDefinition,
  devices: readonly Device[],
  missing: readonly number[],
  existing?: { readonly places: Places; readonly isTaken: (slot: string) => boolean },
) => PlanOutcome;

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Devices that a run can be planned for, by name: neither chance nor the order of enrolment matters. */
export function candidates(definition: RunDefinition, devices: Iterable<Device>): readonly Device[] {
  return [...devices]
    .filter((device) => takesPart(definition, device))
    .sort(
      (a, b) => byCodeUnits(a.name, b.name) || byCodeUnits(a.data.fingerprint, b.data.fingerprint) || byCodeUnits(a.publicKey, b.publicKey),
    );
}

/** So many times as many changes of devices as there are devices make a new try at a plan that was refused, or a millisecond for each device. */
const worthwhileShare = 1 / 16;
const refusedMs = 1;

/** Whether a plan that was refused, which costs a look at all devices, is worth another try: not for each that comes to a large fleet. */
function isWorthTrying({ fleetVersion }: State, { plannedFor, refusedAt = 0 }: Run, devices: number, now: number): boolean {
  if (plannedFor === undefined) return true;
  const changes = fleetVersion - plannedFor;
  return changes > 0 && (changes >= worthwhileShare * devices || Math.abs(now - refusedAt) >= refusedMs * devices);
}

function plan(state: State, run: Run, now: number, planner: Planner): readonly Fact[] {
  const { runId, definition, createdAt, gathered } = run;
  const { minimumDevices, minimumOwners, startBySeconds } = definition.policy;
  const isLate = startBySeconds !== undefined && now - createdAt >= 1000 * startBySeconds;
  if (!gathered || gathered.devices < (isLate ? 1 : minimumDevices) || !isWorthTrying(state, run, gathered.devices, now)) return [];
  const { owners } = gathered;
  const ownable = owners.flatMap((_, classId) => (classId === definition.otherClass ? [] : [classId]));
  if (!isLate && ownable.some((classId) => (owners[classId] ?? 0) < minimumOwners)) return [];
  const missing = ownable.filter((classId) => owners[classId] === 0);
  const outcome = planner(definition, candidates(definition, state.devices.values()), missing);
  if (outcome.type === "refused") return [{ type: "plan.refused", runId, reason: outcome.reason }];
  const { slots, excluded } = outcome;
  return [
    { type: "plan.made", runId, slots, missingClasses: missing, excluded },
    { type: "phase.started", runId, phase: "train", tasks: trainTasks(slots) },
  ];
}

const trainTasks = (slots: readonly Slot[]): readonly TaskSeed[] =>
  slots.map(({ slot }) => ({ taskId: trainTaskId(slot), kind: "train", slot }));

/** Places for devices that came after the plan, while there is still training to wait for. */
function admitLate(state: State, run: Run, planner: Planner): readonly Fact[] {
  const { runId, definition, plannedFor, slots, places } = run;
  if (!definition.policy.admitLate || plannedFor === state.fleetVersion) return [];
  const devices = [...run.newcomers].flatMap((deviceId) => state.devices.get(deviceId) ?? []);
  const newcomers = candidates(definition, devices).filter(({ deviceId }) => !run.ownTasks.has(deviceId));
  if (newcomers.length === 0) return [];
  const outcome = planner(definition, newcomers, run.plannedMissing, { places, isTaken: (slot) => slots.has(slot) });
  if (outcome.type === "refused") return [{ type: "plan.refused", runId, reason: outcome.reason }];
  return [{ type: "plan.extended", runId, slots: outcome.slots, tasks: trainTasks(outcome.slots) }];
}

/** Slots in the order of their turns in a pass; drawn from the seed, as a run on one machine does. */
function settleTurns({ definition: { seed } }: Run, slots: readonly string[], pass: number): readonly string[] {
  const order = shuffle(Uint32Array.from(slots.keys()), random(seed, "settle", "order", pass));
  return Array.from(order, (i) => slots[i] as string);
}

/** Slots by the turns in which they settle in a pass; without those that sit it out. */
function turnsOf(run: Run, settle: NonNullable<RunDefinition["work"]["settle"]>, pass: number): readonly (readonly string[])[] {
  const takesPart = (slot: string): boolean => passesOf(settle, slot).includes(pass);
  const slots = settleTurns(run, harvestedSlots(run), pass).filter(takesPart);
  if (settle.order === "sequential") return slots.map((slot) => [slot]);
  return slots.length === 0 ? [] : [[...run.slotOrder].filter((slot) => slots.includes(slot))];
}

/** The next turn of settling; undefined when there is none. */
function nextSettle(run: Run): readonly Fact[] | undefined {
  const { runId, definition, pass, turn } = run;
  const settle = definition.work.settle;
  if (!settle) return undefined;
  for (let next = Math.max(1, pass); next <= settle.passes; next++) {
    const group = turnsOf(run, settle, next)[next === pass ? turn : 0];
    if (!group) continue;
    const tasks = group.map((slot): TaskSeed => ({ taskId: settleTaskId(slot, next), kind: "settle", slot, pass: next }));
    return [{ type: "phase.started", runId, phase: "settle", pass: next, tasks }];
  }
  return undefined;
}

function assemble({ runId }: Run): readonly Fact[] {
  return [{ type: "phase.started", runId, phase: "assemble", tasks: [] }];
}

/** Sums are of the branches as they are in the end, so they come last. */
function sumsOrAssembly(run: Run): readonly Fact[] {
  if (!run.definition.work.statistics) return assemble(run);
  const tasks = [...run.slotOrder].map((slot): TaskSeed => ({ taskId: statisticsTaskId(slot), kind: "statistics", slot }));
  return [{ type: "phase.started", runId: run.runId, phase: "statistics", tasks }];
}

/** What follows in a run; nothing while it waits, is paused or has come to its end. */
export function nextFacts(state: State, run: Run, now: number, planner: Planner): readonly Fact[] {
  if (run.paused || isOver(run)) return [];
  switch (run.phase) {
    case "gathering":
      return plan(state, run, now, planner);
    case "train":
      if (run.remaining > 0) return admitLate(state, run, planner);
      if (harvestedSlots(run).length === 0) return [{ type: "run.failed", runId: run.runId, reason: noResult(run) }];
      return nextSettle(run) ?? sumsOrAssembly(run);
    case "settle":
      return run.remaining > 0 ? [] : (nextSettle(run) ?? sumsOrAssembly(run));
    case "statistics":
      return run.remaining > 0 ? [] : assemble(run);
    case "assemble":
    case "finished":
    case "failed":
    case "cancelled":
      return [];
    default:
      return unreachable(run.phase);
  }
}

function noResult({ tasks }: Run): string {
  const reason = tasks.valueSeq().find(({ reason }) => reason !== undefined)?.reason ?? "";
  return `No device brought a usable sub-model. ${reason} See the quarantined uploads and the devices' logs, and resume the run.`;
}

/** Classes that a finished run's model cannot tell. */
export function missingIn(run: Run): readonly number[] {
  return missingClasses(run, harvestedSlots(run));
}
