/** What a simulated run came to, read from its events as they happen: when it was where, what came of the tasks, how much of the classes is covered. */
import type { Event } from "../coordinator/events.ts";
import { harvestedSlots, missingClasses, type Run, type RunPhase } from "../coordinator/state.ts";

/** A stretch of virtual time. */
export interface PhaseTime {
  readonly phase: RunPhase;
  /** Settle pass. */
  readonly pass?: number;
  readonly startSeconds: number;
  endSeconds: number;
}

/** How much of the model is there from a time on. */
export interface CoveragePoint {
  readonly seconds: number;
  /** Sub-models that were accepted. */
  readonly branches: number;
  /** Classes that one of them answers for. */
  readonly classes: number;
}

/** Milestones and counts; times are virtual seconds since the start. */
export interface Record {
  planSeconds?: number;
  /** From the first sub-model on there can be a harvest. */
  firstModelSeconds?: number;
  /** From here on a harvest knows every class that the plan gave somebody. */
  coveredSeconds?: number;
  endSeconds?: number;
  readonly phases: PhaseTime[];
  readonly coverage: CoveragePoint[];
  logEntries: number;
  readonly leases: { own: number; substitute: number; straggler: number; returned: number };
  readonly leasesLost: { expired: number; failed: number };
  /** Multiply-adds of results that counted. */
  usefulMacs: number;
  /** Devices that brought a result of another's task, and those whose task another did or was given because they were slow. */
  readonly helpers: Set<string>;
  readonly helped: Set<string>;
  readonly slow: Set<string>;
}

/** Opens a record; `runOf` gives the run as it is after the events. */
export function openRecorder(
  startMs: number,
  runOf: () => Run | undefined,
): { readonly record: Record; readonly take: (events: readonly Event[]) => void } {
  const record: Record = {
    phases: [],
    coverage: [],
    logEntries: 0,
    leases: { own: 0, substitute: 0, straggler: 0, returned: 0 },
    leasesLost: { expired: 0, failed: 0 },
    usefulMacs: 0,
    helpers: new Set(),
    helped: new Set(),
    slow: new Set(),
  };
  const covered = new Set<number>();
  const planned = new Set<number>();
  let branches = 0;
  const secondsAt = (at: number): number => (at - startMs) / 1000;
  const enter = (phase: RunPhase, at: number, pass?: number): void => {
    const last = record.phases.at(-1);
    if (last) last.endSeconds = secondsAt(at);
    // Turns of one pass are one stretch.
    if (last?.phase === phase && last.pass === pass) return;
    record.phases.push({ phase, ...(pass === undefined ? {} : { pass }), startSeconds: secondsAt(at), endSeconds: secondsAt(at) });
  };
  const addBranch = (taskId: string, at: number): void => {
    const run = runOf();
    const task = run?.tasks.get(taskId);
    if (!run || task?.kind !== "train") return;
    branches++;
    record.firstModelSeconds ??= secondsAt(at);
    for (const classId of run.slots.get(task.slot)?.taskSet ?? []) covered.add(classId);
    if (covered.size === planned.size) record.coveredSeconds ??= secondsAt(at);
    record.coverage.push({ seconds: secondsAt(at), branches, classes: covered.size });
  };
  const ownerOf = (taskId: string): string => {
    const run = runOf();
    return run?.slots.get(run.tasks.get(taskId)?.slot ?? "")?.deviceId ?? "";
  };
  const take = (events: readonly Event[]): void => {
    record.logEntries += events.length;
    for (const event of events) {
      switch (event.type) {
        case "run.created":
          enter("gathering", event.at);
          break;
        case "plan.made":
        case "plan.extended":
          record.planSeconds ??= secondsAt(event.at);
          for (const { taskSet } of event.slots) for (const classId of taskSet) planned.add(classId);
          break;
        case "phase.started":
          enter(event.phase, event.at, event.pass);
          break;
        case "offer.leased":
          record.leases[event.why]++;
          if (event.why === "straggler") record.slow.add(ownerOf(event.taskId));
          break;
        case "lease.expired":
          record.leasesLost.expired++;
          break;
        case "lease.failed":
          record.leasesLost.failed++;
          break;
        case "lease.completed": {
          record.usefulMacs += event.measured.macs;
          const owner = ownerOf(event.taskId);
          if (owner !== event.deviceId) {
            record.helpers.add(event.deviceId);
            record.helped.add(owner);
          }
          addBranch(event.taskId, event.at);
          break;
        }
        case "run.finished":
        case "run.failed":
          enter(event.type === "run.finished" ? "finished" : "failed", event.at);
          record.endSeconds = secondsAt(event.at);
          break;
      }
    }
  };
  return { record, take };
}

/** Fewer points of a curve, the first and last and those at which the number of classes changed among them. */
export function thinned(points: readonly CoveragePoint[], most = 200): readonly CoveragePoint[] {
  const step = Math.ceil(points.length / most);
  return points.filter(({ classes }, i) => i % step === 0 || i === points.length - 1 || classes !== points[i - 1]?.classes);
}

/** Classes without a branch in a run, by name. */
export function missingNames(run: Run): readonly string[] {
  return missingClasses(run, harvestedSlots(run)).map((classId) => run.definition.classNames[classId] ?? String(classId));
}
