/** What a device is told to do: a task's specification and the objects that it needs, as they follow from the run and the results so far. Pure. */
import { narrow } from "../network/narrow.ts";
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

/** A slot's branch as it was before settle pass `pass` (now, by default); undefined where there is none. */
export function branchOf(
  run: Run,
  slotName: string,
  pass?: number,
): { readonly branch: Branch; readonly parameters: ObjectReference } | undefined {
  const task = branchTask(run, slotName, pass);
  const trained = branchTask(run, slotName, 1);
  if (!task || !trained) return undefined;
  const { slot, taskSet, widths, ownSamples, backgroundSamples } = slotOf(run, slotName);
  const { classNames, target, work } = run.definition;
  const parameters = parametersOf(task);
  const use = trained.result?.use ?? { ownSamples, backgroundSamples };
  const { logitAdjustment } = work.training;
  return {
    parameters,
    branch: {
      device: slot,
      taskSet,
      network: narrow(target, widths, taskSet.length + 1),
      parameters: parameters.sha256,
      ownSamples: use.ownSamples,
      backgroundSamples: use.backgroundSamples,
      ...(use.madeSamples === undefined ? {} : { madeSamples: use.madeSamples }),
      ...(logitAdjustment === undefined ? {} : { logitAdjustment }),
      classCounts: use.classCounts ?? evenCounts(classNames.length, taskSet, use.ownSamples, use.backgroundSamples),
    },
  };
}

/** All branches in the order of the plan, for heads, sums and settling; `pass` as in `branchOf`. */
export function branchesOf(run: Run, pass?: number): readonly { readonly branch: Branch; readonly parameters: ObjectReference }[] {
  return harvestedSlots(run).flatMap((slot) => branchOf(run, slot, pass) ?? []);
}

/** Which branches a settle task sees: in turns those that came before it in its pass too, together those of the pass before. */
function settledBefore(run: Run, pass: number): number {
  return run.definition.work.settle?.order === "together" ? pass : pass + 1;
}

/** Objects that a device needs for a task, and may read. */
export function inputsOf(run: Run, task: Task): readonly ObjectReference[] {
  const common = run.definition.work.inputs ?? [];
  if (task.kind === "train") return common;
  const branches = branchesOf(run, task.kind === "settle" ? settledBefore(run, task.pass ?? 1) : undefined);
  return [...common, ...branches.map(({ branch, parameters }) => ({ ...parameters, role: `branch-${branch.device}` }))];
}

/** The specification of a task. Depends on the run and accepted results alone, not on who does the task or when. */
export function taskSpec(run: Run, task: Task): TaskSpec {
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
      };
    case "statistics": {
      const { scores, expansion } = work.statistics ?? { scores: false, expansion: 0 };
      const branches = branchesOf(run).map(({ branch }) => branch);
      return {
        kind: "statistics",
        ...common,
        ...heldOut,
        ...(heldOutFrom === undefined ? {} : { heldOutFrom }),
        branches,
        scores,
        expansion,
      };
    }
    case "settle": {
      const { settle } = work;
      if (!settle || task.pass === undefined)
        throw new SheafError("internal", `Task "${task.taskId}" settles, but its run has no settle passes.`);
      const branches = branchesOf(run, settledBefore(run, task.pass)).map(({ branch }) => branch);
      const { settings, backgroundShare } = settle;
      return { kind: "settle", ...common, ...keptFromTraining, pass: task.pass, branches, settings, backgroundShare };
    }
    default:
      return unreachable(task.kind);
  }
}

/** Names of all objects that the state speaks of. Of an archived run only its models stay; what else is stored may be removed. */
export function referencedObjects(state: State): ReadonlySet<string> {
  const names = new Set<string>();
  const add = (outputs: readonly ObjectReference[] = []): void => {
    for (const { sha256 } of outputs) names.add(sha256);
  };
  for (const run of state.runs.values()) {
    add(run.outputs);
    for (const harvest of run.harvests) add(harvest.outputs);
    if (run.archived) continue;
    add(run.definition.work.inputs);
    for (const task of run.tasks.values()) add(task.result?.outputs);
    for (const { outputs } of run.quarantined) add(outputs);
  }
  return names;
}
