/** What people's tools and the coordinator say to each other: runs, devices, tokens. The type of each message, and the schema that checks it. */
import { z } from "zod";
import {
  type AccessGrant,
  type Heartbeat,
  type MeasuredProfile,
  type ObjectReference,
  objectReferenceSchema,
  profileSchema,
  taskKind,
} from "./messages.ts";
import type { TaskKind } from "./tasks.ts";
import {
  atLeastZero,
  count,
  id,
  instant,
  jsonObject,
  longText,
  maximumClasses,
  optional,
  secret,
  sha256,
  share,
  shortText,
} from "./values.ts";

export interface RunRequest {
  readonly name: string;
  /** As in a configuration file; checked by the coordinator, which answers `unacceptable` with the reason. */
  readonly config: Readonly<Record<string, unknown>>;
}

export const runStatuses = [
  "waiting",
  "training",
  "summing",
  "settling",
  "assembling",
  "paused",
  "finished",
  "failed",
  "cancelled",
] as const;
export type RunStatus = (typeof runStatuses)[number];

const endedStatuses: ReadonlySet<RunStatus> = new Set<RunStatus>(["finished", "failed", "cancelled"]);

/** Whether nothing happens any more in a run of this status. */
export function isEnded(status: RunStatus): boolean {
  return endedStatuses.has(status);
}

/** Why nothing happens now. */
export const waitingCodes = [
  /** Of a run: too few devices; a class that nobody holds; no plan for those who are there; nobody comes for the open tasks. */
  "fewDevices",
  "classWithoutOwner",
  "noPlan",
  "noWorker",
  /** Of a run or a device. */
  "paused",
  /** Of a device: no run; a run that has not begun; others must finish first; no part in the plan; samples of no use; a pause after a failure; not again; a task is ready. */
  "noRun",
  "gathering",
  "otherDevices",
  "noPart",
  "noSamples",
  "resting",
  "barred",
  "due",
] as const;
export type WaitingCode = (typeof waitingCodes)[number];

/** What a run or a device waits for. */
export interface WaitsFor {
  readonly code: WaitingCode;
  /** A sentence. */
  readonly reason: string;
  /** When the run goes on all the same, if nothing happens until then. */
  readonly until?: number;
}

export interface RunSummary {
  readonly runId: string;
  readonly name: string;
  readonly status: RunStatus;
  readonly archived: boolean;
  readonly createdAt: number;
  readonly tasks: { readonly total: number; readonly leased: number; readonly done: number; readonly failed: number };
  readonly classes: { readonly total: number; readonly covered: number };
  readonly devices: number;
  /** Present once there is a model. */
  readonly model?: ObjectReference;
  /** Why it failed or was cancelled. */
  readonly reason?: string;
  /** Present while nobody is at work on it. */
  readonly waitsFor?: WaitsFor;
}

export const taskStatuses = ["pending", "leased", "done", "failed"] as const;

export interface TaskSummary {
  readonly taskId: string;
  readonly kind: TaskKind;
  /** Device of the plan whose part it is. */
  readonly device: string;
  readonly status: (typeof taskStatuses)[number];
  /** Devices that hold a lease now, or the one whose result was accepted. */
  readonly workers: readonly string[];
  readonly progress: number;
  readonly expectedSeconds?: number;
}

export interface RunDetail extends RunSummary {
  readonly classNames: readonly string[];
  /** Devices of the plan that own each class. */
  readonly owners: readonly (readonly string[])[];
  readonly taskList: readonly TaskSummary[];
  /** Devices, by id, that it does not wait for; present where there are any. */
  readonly excused?: readonly string[];
  /** Uploads that the gate refused. */
  readonly quarantined: readonly { readonly device: string; readonly taskId: string; readonly sha256: string; readonly reason: string }[];
  readonly config: Readonly<Record<string, unknown>>;
}

export interface RunList {
  readonly runs: readonly RunSummary[];
}

export interface HarvestAnswer {
  readonly model: ObjectReference;
  readonly head: string;
  /** Devices of the plan whose branches are in it. */
  readonly devices: readonly string[];
  readonly missingClasses: readonly string[];
}

/**
 * One event for watchers, the `data` of a server-sent event; its `id` is `sequence`. Sequence 0, without an `id`, is for what is told and not kept:
 * `task.progress`, whose data are `TaskProgress`. On every connection the history of each lease comes first.
 */
export interface WatchEvent {
  readonly sequence: number;
  readonly at: number;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A point of a task's learning curve, as its device told it. Loss and accuracy are means over the epoch so far. */
export interface ProgressPoint {
  readonly at: number;
  /** Share of the whole task. */
  readonly progress: number;
  readonly loss: number;
  readonly epoch?: number;
  readonly step?: number;
  readonly accuracy?: number;
}

/** How far a device is with a lease: with all points so far when a watcher comes, with the newest from then on. */
export interface TaskProgress {
  readonly runId: string;
  readonly taskId: string;
  readonly kind: TaskKind;
  readonly slot: string;
  readonly deviceId: string;
  readonly leaseId: string;
  readonly phase: Heartbeat["phase"];
  readonly progress: number;
  readonly points: readonly ProgressPoint[];
}

export interface DeviceSummary {
  readonly deviceId: string;
  readonly name: string;
  readonly status: "idle" | "working" | "away" | "revoked";
  readonly enrolledAt: number;
  readonly seenAt: number;
  readonly software: string;
  readonly profile: MeasuredProfile;
  /** Classes that it has samples of. */
  readonly classes: readonly string[];
  readonly leases: readonly string[];
  /** Present while it is idle. */
  readonly waitsFor?: WaitsFor;
}

export interface DeviceList {
  readonly devices: readonly DeviceSummary[];
  /** Pass as `after` for the rest; absent at the end. */
  readonly next?: string;
}

export interface ExcuseRequest {
  readonly deviceId: string;
}

export interface JoinTokenRequest {
  readonly uses: number;
  readonly expiresInSeconds: number;
  /** What its bearer becomes: a device by enrolling; a viewer or admin by using the token as it is. */
  readonly role: "device" | "viewer" | "admin";
}

export interface JoinTokenAnswer {
  readonly token: string;
  /** The command to type on the other computer. */
  readonly line: string;
  /** For a viewer or an admin: the dashboard's address, with a sign-in token that serves once behind the `#`. */
  readonly dashboard?: string;
  readonly expiresAt: number;
}

/** How a coordinator's process is. */
export interface Vitals {
  readonly residentBytes: number;
  /** Of JavaScript objects. */
  readonly heapBytes: number;
  /** How long the event loop kept others waiting in the last minute or two. */
  readonly eventLoopLagP99Ms: number;
  readonly eventLoopLagMaxMs: number;
  /** Open now. */
  readonly connections: number;
  readonly logBytes: number;
}

export interface SignInRequest {
  /** Of a dashboard's address; serves once. */
  readonly signInToken: string;
}

/** An access token as a join token's bearer gets it; the page keeps it until it expires. */
export interface SignedIn extends AccessGrant {
  readonly role: "viewer" | "admin";
}

export interface Health {
  readonly status: "ok";
  readonly protocol: number;
  readonly serverId: string;
  readonly now: number;
  readonly process?: Vitals;
}

export const runRequestSchema: z.ZodType<RunRequest> = z.strictObject({ name: shortText, config: jsonObject });

const waitsFor: z.ZodType<WaitsFor> = z.strictObject({ code: z.enum(waitingCodes), reason: longText, until: optional(instant) });

const runSummary = {
  runId: id,
  name: shortText,
  status: z.enum(runStatuses),
  archived: z.boolean(),
  createdAt: instant,
  tasks: z.strictObject({ total: count, leased: count, done: count, failed: count }),
  classes: z.strictObject({ total: count, covered: count }),
  devices: count,
  model: optional(objectReferenceSchema),
  reason: optional(longText),
  waitsFor: optional(waitsFor),
};
export const runSummarySchema: z.ZodType<RunSummary> = z.strictObject(runSummary);
export const runListSchema: z.ZodType<RunList> = z.strictObject({ runs: z.array(runSummarySchema).max(10_000) });

const taskSummary: z.ZodType<TaskSummary> = z.strictObject({
  taskId: id,
  kind: taskKind,
  device: id,
  status: z.enum(taskStatuses),
  workers: z.array(id).max(1000),
  progress: share,
  expectedSeconds: optional(atLeastZero),
});
export const runDetailSchema: z.ZodType<RunDetail> = z.strictObject({
  ...runSummary,
  classNames: z.array(shortText).max(maximumClasses),
  owners: z.array(z.array(id).max(1_000_000)).max(maximumClasses),
  taskList: z.array(taskSummary).max(1_000_000),
  excused: optional(z.array(id).max(1_000_000)),
  quarantined: z.array(z.strictObject({ device: id, taskId: id, sha256, reason: longText })).max(1_000_000),
  config: jsonObject,
});

export const harvestAnswerSchema: z.ZodType<HarvestAnswer> = z.strictObject({
  model: objectReferenceSchema,
  head: shortText,
  devices: z.array(id).max(1_000_000),
  missingClasses: z.array(shortText).max(maximumClasses),
});

export const watchEventSchema: z.ZodType<WatchEvent> = z.strictObject({ sequence: count, at: instant, type: shortText, data: jsonObject });

export const deviceSummarySchema: z.ZodType<DeviceSummary> = z.strictObject({
  deviceId: id,
  name: shortText,
  status: z.enum(["idle", "working", "away", "revoked"]),
  enrolledAt: instant,
  seenAt: instant,
  software: shortText,
  profile: profileSchema,
  classes: z.array(shortText).max(maximumClasses),
  leases: z.array(id).max(1000),
  waitsFor: optional(waitsFor),
});
export const deviceListSchema: z.ZodType<DeviceList> = z.strictObject({
  devices: z.array(deviceSummarySchema).max(1000),
  next: optional(id),
});

export const excuseRequestSchema: z.ZodType<ExcuseRequest> = z.strictObject({ deviceId: id });

export const joinTokenRequestSchema: z.ZodType<JoinTokenRequest> = z.strictObject({
  uses: z.int().min(1).max(1_000_000),
  expiresInSeconds: z
    .int()
    .min(1)
    .max(366 * 86_400),
  role: z.enum(["device", "viewer", "admin"]),
});
export const joinTokenAnswerSchema: z.ZodType<JoinTokenAnswer> = z.strictObject({
  token: secret,
  line: longText,
  dashboard: optional(longText),
  expiresAt: instant,
});

export const signInRequestSchema: z.ZodType<SignInRequest> = z.strictObject({ signInToken: secret });
export const signedInSchema: z.ZodType<SignedIn> = z.strictObject({
  accessToken: secret,
  role: z.enum(["viewer", "admin"]),
  expiresAt: instant,
  now: instant,
});

export const healthSchema: z.ZodType<Health> = z.strictObject({
  status: z.literal("ok"),
  protocol: z.int().min(1),
  serverId: id,
  now: instant,
  process: z
    .strictObject({
      residentBytes: count,
      heapBytes: count,
      eventLoopLagP99Ms: count,
      eventLoopLagMaxMs: count,
      connections: count,
      logBytes: count,
    })
    .exactOptional(),
});
