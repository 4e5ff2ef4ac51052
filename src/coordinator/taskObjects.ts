/**
 * Objects that tasks need and that follow from their run: the list of its branches, and starting weights. Each is made when it is first asked for and
 * kept in the store while its run is at that stage. No event speaks of them: after a restart the same bytes are made again.
 */
import { branchesRole, encodeBranches } from "../protocol/branchList.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import { branchesFor, type TaskObjects } from "./spec.ts";
import { isOver, type Run, type State, type Task } from "./state.ts";

/** Role of starting weights among a task's inputs. */
export const initialRole = "initial";

export interface TaskObjectsOptions {
  /** Puts bytes into the store. */
  readonly put: (bytes: Uint8Array) => Promise<{ readonly sha256: string; readonly bytes: number }>;
  /** Starting weights of a task that trains; undefined where it starts from scratch. Must depend on the run and the task's slot alone. */
  readonly initialOf?: (run: Run, task: Task) => Promise<Uint8Array | undefined>;
}

/** What a task needs, and all that its device may read for it. */
export interface Prepared {
  readonly objects: TaskObjects;
  readonly readable: ReadonlySet<string>;
}

export interface TaskObjectsKeeper {
  /** The objects of a task, made and stored where they are not yet there. Throws what `put` and `initialOf` throw. */
  of(run: Run, task: Task): Promise<Prepared>;
  /** Names of the objects that tasks of this state may need; those of runs that are over are forgotten. */
  names(state: State): ReadonlySet<string>;
}

/** What a run has at one stage; at the next, other branches count. */
interface Stage {
  readonly name: string;
  readonly made: Map<string, Promise<Prepared>>;
  readonly names: Set<string>;
}

const stageOf = ({ phase, pass, turn }: Run): string => `${phase} ${pass} ${turn}`;

/** Opens a keeper with nothing made yet. */
export function openTaskObjects({ put, initialOf }: TaskObjectsOptions): TaskObjectsKeeper {
  const stages = new Map<string, Stage>();

  const stageIn = (run: Run): Stage => {
    const name = stageOf(run);
    const known = stages.get(run.runId);
    if (known?.name === name) return known;
    const stage: Stage = { name, made: new Map(), names: new Set() };
    stages.set(run.runId, stage);
    return stage;
  };
  const store = async (role: string, bytes: Uint8Array, { names }: Stage): Promise<ObjectReference> => {
    const { sha256, bytes: length } = await put(bytes);
    names.add(sha256);
    return { role, sha256, bytes: length };
  };

  const make = async (run: Run, task: Task, stage: Stage): Promise<Prepared> => {
    const common = (run.definition.work.inputs ?? []).map(({ sha256 }) => sha256);
    if (task.kind === "train") {
      const bytes = await initialOf?.(run, task);
      if (!bytes) return { objects: {}, readable: new Set(common) };
      const initial = await store(initialRole, bytes, stage);
      return { objects: { initial }, readable: new Set([...common, initial.sha256]) };
    }
    const listed = branchesFor(run, task);
    const branches = await store(branchesRole, encodeBranches(listed), stage);
    return { objects: { branches }, readable: new Set([...common, branches.sha256, ...listed.map(({ parameters }) => parameters)]) };
  };

  return {
    of(run, task) {
      const stage = stageIn(run);
      // All tasks of a stage that need branches need the same.
      const key = task.kind === "train" ? task.taskId : task.kind;
      let prepared = stage.made.get(key);
      if (!prepared) {
        prepared = make(run, task, stage);
        stage.made.set(key, prepared);
        // What failed, as for want of room, is tried again.
        prepared.catch(() => stage.made.delete(key));
      }
      return prepared;
    },
    names(state) {
      for (const runId of stages.keys()) {
        const run = state.runs.get(runId);
        if (!run || isOver(run)) stages.delete(runId);
      }
      return new Set([...stages.values()].flatMap(({ names }) => [...names]));
    },
  };
}
