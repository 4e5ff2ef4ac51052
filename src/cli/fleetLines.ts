/** What happens in a fleet, as lines for whoever looks at the coordinator's terminal. */
import type { LogEntry } from "../coordinator/chain.ts";
import type { State } from "../coordinator/state.ts";
import { formatPercent } from "../util/format.ts";

/** `1 task`, `2 tasks`. */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : what.endsWith("s") ? "es" : "s"}`;

const phases: Readonly<Record<string, string>> = {
  train: "training begins",
  settle: "a settle pass begins",
  statistics: "the pass for the head's sums begins",
  assemble: "all is there: the model is put together",
};

/** How many devices the runs that gather still wait for; undefined where none does. */
function stillWanted({ runs }: State): string | undefined {
  const missing = Math.min(
    ...[...runs.values()].flatMap(({ definition, gathered, phase }) =>
      // Only devices whose samples it can use count.
      phase === "gathering" && gathered ? [definition.policy.minimumDevices - gathered.devices] : [],
    ),
  );
  return Number.isFinite(missing) && missing > 0 ? `waiting for ${counted(missing, "more device")}` : undefined;
}

/** An entry of the log as a line; undefined for what a person need not see. `state` is that after the entry. */
export function lineOf(state: State, { event }: LogEntry): string | undefined {
  const { devices, runs, leases, endedLeases } = state;
  const nameOf = (deviceId: string): string => devices.get(deviceId)?.name ?? deviceId;
  const runOf = (runId: string): string => `run ${runs.get(runId)?.definition.name ?? runId}`;
  const lease = "leaseId" in event ? (leases.get(event.leaseId) ?? endedLeases.get(event.leaseId)) : undefined;
  switch (event.type) {
    case "device.enrolled": {
      const wanted = stillWanted(state);
      return `${event.name} has joined with samples of ${counted(event.data.classNames.length, "class")}${wanted === undefined ? "" : `; ${wanted}`}`;
    }
    case "device.revoked":
      return `${nameOf(event.deviceId)} is turned away: ${event.reason}`;
    case "device.excused":
      return `${runOf(event.runId)} does not wait for ${nameOf(event.deviceId)} any more`;
    case "plan.made":
    case "plan.extended":
      return `planned: ${event.slots.map(({ slot, taskSet }) => `${slot} (${counted(taskSet.length, "class")})`).join(", ")}`;
    case "plan.refused":
      return `no plan yet: ${event.reason}`;
    case "phase.started": {
      const tasks = event.tasks.length === 0 ? "" : `, ${counted(event.tasks.length, "task")}`;
      return `${phases[event.phase] ?? event.phase}${event.pass === undefined ? "" : ` (${event.pass})`}${tasks}`;
    }
    case "offer.leased":
      return `${nameOf(event.deviceId)} works on ${event.taskId}${event.why === "own" ? "" : ` (${event.why})`}`;
    case "lease.completed": {
      const own = event.evaluation?.own;
      return `${nameOf(event.deviceId)} has done ${event.taskId}${own === undefined ? "" : ` (${formatPercent(own)} right on its own classes)`}`;
    }
    case "lease.expired":
      return `${nameOf(lease?.deviceId ?? "")} ${event.reason === "silent" ? "is not heard of" : "gets nowhere"}; ${lease?.taskId ?? "its task"} is free again`;
    case "lease.failed":
      return `${nameOf(lease?.deviceId ?? "")} gave ${lease?.taskId ?? "a task"} back: ${event.reason}`;
    case "upload.quarantined":
      return `${nameOf(event.deviceId)}: result of ${event.taskId} refused: ${event.reason}`;
    case "task.givenUp":
      return `${event.taskId} is given up: ${event.reason}`;
    case "run.created":
    case "run.paused":
    case "run.resumed":
    case "run.cancelled":
      return `${runOf(event.runId)} is ${event.type.slice("run.".length)}`;
    case "run.failed":
      return `${runOf(event.runId)} has failed: ${event.reason}`;
    case "run.finished":
      return `${runOf(event.runId)} is finished`;
    default:
      return undefined;
  }
}
