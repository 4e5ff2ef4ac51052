/** What a device is told to do: a task's specification and the objects that it needs, as they follow from the run and the results so far. Pure. */
import { narrow } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import type { Branch, TaskSpec } from "../protocol/tasks.ts";
import { SheafError, unreachable } from "../util/errors.ts";
import type { Slot } from "./events.ts";
import { branchTask, harvestedSlots, type Run, type State, type Task } from "./state.ts";

/** Role of a sub-model's weights among a task's outputs. */
export const parametersRole = "parameters";

function slotOf(run: Run, slot: string): Slot {
  const found = run.slots.get(slot);
  if (!found) throw new SheafError("corrupt", `Run "${run.runId}" has no place "${slot}"; restore the data directory from a backup.`);
  return found;
}

const parametersOf = (task: Task): ObjectReference => {
  const found = task.result?.outputs.find(({ role }) => role === parametersRole);
  if (!found)
    throw new SheafError(
      "corrupt",
      `The accepted result of task "${task.taskId}" has no "${parametersRole}"; the gate should have refused it.`,
    );
  return found;
};

/** Counts by class of a device that keeps them to itself: its own samples and its background, each spread evenly. */
function evenCounts(classCount: number, taskSet: readonly number[], own: number, background: number): readonly number[] {
  const others = classCount - taskSet.length;
  return Array.from({ length: classCount }, (_, classId) =>
    taskSet.includes(classId) ? Math.round(own / taskSet.length) : Math.round(background / Math.max(1, others)),
  );
}

/** All branches as they were before settle pass `pass` (now, by default), in the order of the plan. */
export function branchesOf(run: Run, pass?: number): readonly Branch[] {
  const { classNames, target, work } = run.definition;
  const { logitAdjustment } = work.training;
  // Most branches of a large fleet are of a few sizes.
  const networks = new Map<string, Network>();
  const networkOf = ({ widths, taskSet }: Slot): Network => {
    const key = JSON.stringify([widths, taskSet.length]);
    const network = networks.get(key) ?? narrow(target, widths, taskSet.length + 1);
    networks.set(key, network);
    return network;
  };
  return harvestedSlots(run).flatMap((slotName): Branch[] => {
    const task = branchTask(run, slotName, pass);
    const trained = branchTask(run, slotName, 1);
    if (!task || !trained) return [];
    const slot = slotOf(run, slotName);
    const { taskSet, ownSamples, backgroundSamples } = slot;
    const { sha256, bytes } = parametersOf(task);
    const use = trained.result?.use ?? { ownSamples, backgroundSamples };
    return [
      {
        device: slotName,
        taskSet,
        network: networkOf(slot),
        parameters: sha256,
        parameterBytes: bytes,
        ownSamples: use.ownSamples,
        backgroundSamples: use.backgroundSamples,
        ...(use.madeSamples === undefined ? {} : { madeSamples: use.madeSamples }),
        ...(logitAdjustment === undefined ? {} : { logitAdjustment }),
        classCounts: use.classCounts ?? evenCounts(classNames.length, taskSet, use.ownSamples, use.backgroundSamples),
      },
    ];
  });
}

/** Which branches a settle task sees: in turns those that came before it in its pass too, together those of the pass before. */
function settledBefore(run: Run, pass: number): number {
  return run.definition.work.settle?.order === "together" ? pass : pass + 1;
}

/** The branches that a settle or statistics task is about. */
export function branchesFor(run: Run, task: Task): readonly Branch[] {
  return branchesOf(run, task.kind === "settle" ? settledBefore(run, task.pass ?? 1) : undefined);
}

/** Objects of a task that follow from its run; see `taskObjects.ts`. */
export interface TaskObjects {
  /** The list of branches, of a settle or statistics task. */
  readonly branches?: ObjectReference;
  /** Weights to start from, of a training task. */
  readonly initial?: ObjectReference;
}

/** Objects that a device needs for a task; what the list of branches names comes to it. */
export function inputsOf({ definition: { work } }: Run, { branches, initial }: TaskObjects): readonly ObjectReference[] {
  return [...(work.inputs ?? []), ...(branches ? [branches] : []), ...(initial ? [initial] : [])];
}

/** The list of branches, without which nothing is settled or summed. */
function listIn({ branches }: TaskObjects, { taskId }: Task): string {
  if (!branches) throw new SheafError("internal", `Task "${taskId}" needs the list of branches, which was not made.`);
  return branches.sha256;
}

/** The specification of a task. Depends on the run and accepted results alone, not on who does the task or when. */
export function taskSpec(run: Run, task: Task, objects: TaskObjects): TaskSpec {
  const { seed, classNames, otherClass, target, work } = run.definition;
  const { slot, taskSet, widths } = slotOf(run, task.slot);
  const { background, heldOutShare, heldOutFrom } = work;
  const common = {
    taskId: task.taskId,
    device: slot,
    seed,
    classNames,
    ...(otherClass === undefined ? {} : { otherClass }),
    taskSet,
    background,
  };
  const heldOut = heldOutShare === undefined ? {} : { heldOutShare };
  // Samples that are held out from sums alone are trained on.
  const keptFromTraining = heldOutFrom === "sums" ? {} : heldOut;
  switch (task.kind) {
    case "train":
      return {
        kind: "train",
        ...common,
        ...keptFromTraining,
        network: narrow(target, widths, taskSet.length + 1),
        settings: work.training,
        ...(objects.initial ? { initial: objects.initial.sha256 } : {}),
      };
    case "statistics": {
      const { scores, expansion } = work.statistics ?? { scores: false, expansion: 0 };
      return {
        kind: "statistics",
        ...common,
        ...heldOut,
        ...(heldOutFrom === undefined ? {} : { heldOutFrom }),
        branches: listIn(objects, task),
        scores,
        expansion,
      };
    }
    case "settle": {
      const { settle } = work;
      if (!settle || task.pass === undefined)
        throw new SheafError("internal", `Task "${task.taskId}" settles, but its run has no settle passes.`);
      const { settings, backgroundShare } = settle;
      const branches = listIn(objects, task);
      return { kind: "settle", ...common, ...keptFromTraining, pass: task.pass, branches, settings, backgroundShare };
    }
    default:
      return unreachable(task.kind);
  }
}

/** Names of all objects that the state speaks of; those that tasks need beside them are in `taskObjects.ts`. Of an archived run only its models stay; what else is stored may be removed. */
export function referencedObjects(state: State): ReadonlySet<string> {
  const names = new Set<string>();
  const add = (outputs: readonly ObjectReference[] = []): void => {
    for (const { sha256 } of outputs) names.add(sha256);
  };
  for (const run of state.runs.values()) {
    add(run.outputs);
    for (const harvest of run.harvests) add(harvest.outputs);
    const { inputs, warmStart } = run.definition.work;
    add(inputs);
    add(run.definition.offered?.shards);
    if (warmStart) add([warmStart.target, ...(warmStart.activation ? [warmStart.activation] : [])]);
    for (const task of run.tasks.values()) add(task.result?.outputs);
    for (const { outputs } of run.quarantined) add(outputs);
  }
  for (const { outputs, harvested } of state.archive.values()) add([...(outputs ?? []), ...harvested]);
  return names;
}
