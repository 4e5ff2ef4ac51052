/**
 * How devices get on with their leases, as they tell in heartbeats: kept in memory for those who watch, and not in the log, which says what counts.
 * After a restart it is empty; nothing depends on it.
 */
import type { Heartbeat } from "../protocol/messages.ts";
import type { TaskProgress, WatchEvent } from "../protocol/operatorMessages.ts";
import type { Lease, Run } from "./state.ts";

/** Leases of one run that are kept; a picture of more curves cannot be read. */
const mostLeases = 500;
/** Points of one curve; past that every second one is dropped. */
const mostPoints = 200;

type Listener = (event: WatchEvent) => void;

export interface Curves {
  /** Notes what a device told of its lease, and tells those who listen. */
  report(run: Run, lease: Lease, heartbeat: Heartbeat, at: number): void;
  /** All that is known of a run's leases, one event each. */
  of(runId: string): WatchEvent[];
  /** Lets go of a run that nobody looks at any more. */
  forget(runId: string): void;
  /** Calls `listener` with what is reported of a run from now on; the answer ends that. */
  listen(runId: string, listener: Listener): () => void;
}

// Sequence 0: such an event has no place in the log.
const eventOf = (at: number, data: TaskProgress): WatchEvent => ({ sequence: 0, at, type: "task.progress", data: { ...data } });

/** Begins with nothing known. */
export function openCurves(): Curves {
  const runs = new Map<string, Map<string, { at: number; progress: TaskProgress }>>();
  const listeners = new Map<string, Set<Listener>>();
  return {
    report({ runId, tasks }, { taskId, deviceId, leaseId }, { phase, progress, epoch, step, loss, accuracy }, at) {
      const task = tasks.get(taskId);
      const known = runs.get(runId) ?? new Map<string, { at: number; progress: TaskProgress }>();
      if (!task || (known.size >= mostLeases && !known.has(leaseId))) return;
      const points =
        loss === undefined
          ? []
          : [
              {
                at,
                progress,
                loss,
                ...(epoch === undefined ? {} : { epoch }),
                ...(step === undefined ? {} : { step }),
                ...(accuracy === undefined ? {} : { accuracy }),
              },
            ];
      const told: TaskProgress = { runId, taskId, kind: task.kind, slot: task.slot, deviceId, leaseId, phase, progress, points };
      let all = [...(known.get(leaseId)?.progress.points ?? []), ...points];
      if (all.length > mostPoints) all = all.filter((_, i) => i % 2 === (all.length - 1) % 2);
      known.set(leaseId, { at, progress: { ...told, points: all } });
      runs.set(runId, known);
      for (const listener of listeners.get(runId) ?? []) listener(eventOf(at, told));
    },
    of: (runId) => [...(runs.get(runId)?.values() ?? [])].map(({ at, progress }) => eventOf(at, progress)),
    forget(runId) {
      runs.delete(runId);
    },
    listen(runId, listener) {
      const set = listeners.get(runId) ?? new Set();
      listeners.set(runId, set.add(listener));
      return () => {
        set.delete(listener);
        if (set.size === 0) listeners.delete(runId);
      };
    },
  };
}
