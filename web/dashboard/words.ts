/** Events and states in words. */
import type { RunStatus, WatchEvent } from "../../src/protocol/operatorMessages.ts";

/** What the words need to know of names. */
export interface Names {
  readonly device: (deviceId: string) => string;
  readonly task: (leaseId: string) => { readonly taskId: string; readonly deviceId: string } | undefined;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

const counted = (value: unknown, thing: string): string => `${list(value).length} ${thing}${list(value).length === 1 ? "" : "s"}`;

/** An event as a sentence without its end. */
export function wordsOf({ type, data }: WatchEvent, names: Names): string {
  const device = names.device(text(data.deviceId));
  const task = text(data.taskId);
  const lease = names.task(text(data.leaseId));
  const holder = lease ? names.device(lease.deviceId) : "a device";
  switch (type) {
    case "run.created":
      return "The run was created";
    case "shard.taken":
      return `${device} took part ${Number(data.shard) + 1} of the offered data`;
    case "run.paused":
      return "Paused: no more work is offered";
    case "run.resumed":
      return "Resumed";
    case "run.cancelled":
      return "Cancelled";
    case "run.archived":
      return "Archived";
    case "run.failed":
      return `Failed: ${text(data.reason)}`;
    case "run.finished":
      return "Finished: the model is there";
    case "plan.made":
      return `Planned for ${counted(data.slots, "device")}`;
    case "plan.extended":
      return `A part was given to ${counted(data.slots, "further device")}`;
    case "plan.refused":
      return `No plan yet: ${text(data.reason)}`;
    case "phase.started":
      return `Phase ${text(data.phase)}${data.pass === undefined ? "" : ` ${data.pass}`}: ${counted(data.tasks, "task")}`;
    case "offer.leased": {
      const why = { substitute: "in another's place", straggler: "beside a slow one", returned: "back again" }[text(data.why)];
      return `${device} works on ${task}${why === undefined ? "" : `, ${why}`}`;
    }
    case "lease.renewed":
      return `${holder} is back at ${lease?.taskId ?? "its task"}`;
    case "lease.expired":
      return `${holder} has lost ${lease?.taskId ?? "its task"}: ${data.reason === "silent" ? "nothing more was heard of it" : "it did not get on"}`;
    case "lease.failed":
      return `${holder} gave ${lease?.taskId ?? "its task"} back: ${text(data.reason)}`;
    case "lease.completed": {
      const own = (data.evaluation as { readonly own?: number } | undefined)?.own;
      return `${device} has done ${task}${own === undefined ? "" : ` (own classes ${(100 * own).toFixed(1)}\u00a0%)`}`;
    }
    case "upload.quarantined":
      return `${device}: the result of ${task} was refused: ${text(data.reason)}`;
    case "task.givenUp":
      return `${task} was given up: ${text(data.reason)}`;
    case "harvest.requested":
      return `A model of ${list(data.slots).length} branches was asked for`;
    case "harvest.made":
      return `A model of what was there is made (head ${text(data.head)})`;
    case "harvest.failed":
      return `No model could be made of what was there: ${text(data.reason)}`;
    default:
      return type;
  }
}

/** Whether an event is bad news. */
export function isTrouble(type: string): boolean {
  return ["run.failed", "lease.expired", "lease.failed", "upload.quarantined", "task.givenUp", "harvest.failed", "plan.refused"].includes(
    type,
  );
}

/** The colour of a state: of work, of waiting, of the end, of trouble. */
export function toneOf(status: RunStatus | "idle" | "working" | "away" | "revoked"): "work" | "wait" | "good" | "bad" {
  switch (status) {
    case "finished":
    case "idle":
      return "good";
    case "failed":
    case "cancelled":
    case "revoked":
      return "bad";
    case "waiting":
    case "paused":
    case "away":
      return "wait";
    default:
      return "work";
  }
}

const units = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
] as const;

/** How long ago, in one unit: "12 s", "3 min". */
export function ago(fromMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - fromMs) / 1000));
  const [size, unit] = units.find(([each]) => seconds >= each) ?? [1, "s"];
  return `${Math.floor(seconds / size)}\u00a0${unit}`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Date and time on this computer's clock, to the minute. */
export function dateTime(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Time of the day on this computer's clock. */
export function timeOfDay(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
