/**
 * What can have happened, as plain JSON: the log is a list of these, and everything the coordinator knows is a fold over them.
 * No clock, no storage, no HTTP. An event is a fact and is never changed; a new field is optional, a new meaning is a new type.
 */
import type { WidthFactors } from "../network/narrow.ts";
import type { FeatureShape, Network } from "../network/network.ts";
import type { PlanRequest } from "../plan/request.ts";
import type { Completion, DataSummary, MeasuredProfile, ObjectReference, SampleUse } from "../protocol/messages.ts";
import type { SamplePreparation } from "../protocol/samples.ts";
import type { Background, TaskKind } from "../protocol/tasks.ts";
import type { TrainingSettings } from "../train/job.ts";

/** What a device says of itself when it enrols. */
export interface DeviceFacts {
  readonly name: string;
  readonly profile: MeasuredProfile;
  readonly data: DataSummary;
  readonly software: string;
  /** Classes that it would like to own, by name, dearest first. */
  readonly preferredClasses?: readonly string[] | undefined;
}

/** When a run starts, how long it waits, and when it stops waiting. */
export interface FleetPolicy {
  /** Devices before a plan is made. */
  readonly minimumDevices: number;
  /** Devices that must hold each class before a plan is made. */
  readonly minimumOwners: number;
  /** After so long the plan is made with what is there, and classes that nobody holds are missing. Without it the run waits. */
  readonly startBySeconds?: number | undefined;
  readonly heartbeatSeconds: number;
  /** A lease lapses after so long without a heartbeat. */
  readonly leaseSeconds: number;
  /** How long a task waits for its own device before others may take it. */
  readonly substituteAfterSeconds: number;
  /** A lease that takes so many times the expected time is a straggler's. */
  readonly stragglerFactor: number;
  /** How long a task may lie without anybody taking it. */
  readonly giveUpAfterSeconds: number;
  /** How long a run that has nothing else to do waits for devices that are not heard of; without it as long as `giveUpAfterSeconds`. */
  readonly lostAfterSeconds?: number | undefined;
  /** Leases of one task before it is given up. */
  readonly maximumAttempts: number;
  /** Devices that come while others train get a part of their own: more overlap, and a model that depends on who came in time. */
  readonly admitLate?: boolean | undefined;
  /** A substitute has at least this share of the planned samples of every class of the task. */
  readonly minimumSampleShare: number;
}

/** What the planner is told beside target, classes and devices. */
export type PlanSettings = Omit<PlanRequest, "target" | "classCount" | "classCounts" | "devices" | "seed">;

/** What devices are to do, beside what the plan says of each. */
export interface RunWork {
  readonly training: TrainingSettings;
  readonly background: Background;
  /** Objects that every device needs, such as a public pool. */
  readonly inputs?: readonly ObjectReference[] | undefined;
  readonly heldOutShare?: number | undefined;
  readonly heldOutFrom?: "training" | "sums" | undefined;
  readonly settle?:
    | {
        readonly passes: number;
        readonly order: "sequential" | "together";
        readonly settings: TrainingSettings;
        readonly backgroundShare: number;
        /** Passes that the device of a place sits out, by the place's name. */
        readonly skip?: Readonly<Record<string, readonly number[]>> | undefined;
      }
    | undefined;
  /** Objects that devices' starting weights are made from; without it they start from scratch. */
  readonly warmStart?: { readonly target: ObjectReference; readonly activation?: ObjectReference | undefined } | undefined;
  /** What the statistics pass sums; without it there is no such pass, and the model answers with H0. */
  readonly statistics?: { readonly scores: boolean; readonly expansion: number } | undefined;
}

/** A run as it was ordered; never changes. */
export interface RunDefinition {
  readonly name: string;
  readonly seed: number;
  readonly classNames: readonly string[];
  /** Class that is "none of these" and that nobody owns. */
  readonly otherClass?: number | undefined;
  readonly sampleShape: FeatureShape;
  /** For devices that make samples of pictures and sounds themselves. */
  readonly preparation?: SamplePreparation | undefined;
  readonly target: Network;
  readonly planning: PlanSettings;
  readonly work: RunWork;
  readonly policy: FleetPolicy;
  /** Data for devices that have none: an object for each, and samples of the largest. */
  readonly offered?: { readonly shards: readonly ObjectReference[]; readonly samples: number } | undefined;
  /** The whole configuration, for reports and the assembly; nothing in this folder's rules reads it. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A place in the plan: whose classes, how wide, what it will take. */
export interface Slot {
  /** Name of the branch. Follows from the order of the devices' names, not from keys or times, so that the same fleet gives the same model. */
  readonly slot: string;
  /** The device that the place was made for. */
  readonly deviceId: string;
  /** Class ids, ascending. */
  readonly taskSet: readonly number[];
  readonly widths: WidthFactors;
  readonly size: number;
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  /** Multiply-adds by kind of task; of all settle passes together. */
  readonly macs: { readonly train: number; readonly statistics: number; readonly settle: number };
  readonly memoryBytes: number;
  readonly bytesDown: number;
  readonly bytesUp: number;
  /** How many times less the device computes than training the target would take. */
  readonly ratio: number;
}

/** A piece of work; `taskId` and the run's seed determine every random choice in it. */
export interface TaskSeed {
  readonly taskId: string;
  readonly kind: TaskKind;
  readonly slot: string;
  /** Of a settle task, from 1. */
  readonly pass?: number | undefined;
}

/** What a device says that a task took. */
export type Measured = Completion["measured"];

/** Why a device got a lease: its own task, another's that waited too long, a slow other's, or its own back while a substitute works on it. */
export type LeaseReason = "own" | "substitute" | "straggler" | "returned";

/** Working phases of a run, in order. */
export type WorkPhase = "train" | "settle" | "statistics" | "assemble";

interface EventData {
  /** For auditors; the token itself is kept apart from the log. */
  "joinToken.created": {
    readonly by: string;
    readonly role: "device" | "viewer" | "admin";
    readonly uses: number;
    readonly expiresAt: number;
  };
  "device.enrolled": DeviceFacts & { readonly deviceId: string; readonly publicKey: string };
  /** A known device measured itself again, or has other data. */
  "device.updated": DeviceFacts & { readonly deviceId: string };
  "device.revoked": { readonly deviceId: string; readonly reason: string };
  /** The run no longer waits for a device that will not come back in time; over when the device takes a task of the run again. */
  "device.excused": { readonly runId: string; readonly deviceId: string; readonly reason: string };
  "run.created": { readonly runId: string; readonly definition: RunDefinition };
  /** A device that has no data took a part of those that the run offers; where the one before it was revoked, in its place. */
  "shard.taken": { readonly runId: string; readonly deviceId: string; readonly shard: number };
  "run.paused": { readonly runId: string };
  "run.resumed": { readonly runId: string };
  "run.cancelled": { readonly runId: string };
  "run.archived": { readonly runId: string };
  /** The run cannot go on; `resume` lets it try again. */
  "run.failed": { readonly runId: string; readonly reason: string };
  "run.finished": { readonly runId: string; readonly outputs: readonly ObjectReference[]; readonly missingClasses: readonly number[] };
  "plan.made": {
    readonly runId: string;
    readonly slots: readonly Slot[];
    /** Classes that nobody holds. */
    readonly missingClasses: readonly number[];
    readonly excluded: readonly { readonly id: string; readonly reason: string }[];
  };
  /** A device that came later has a place too. */
  "plan.extended": { readonly runId: string; readonly slots: readonly Slot[]; readonly tasks: readonly TaskSeed[] };
  /** No plan exists for the devices that are there; tried again when they change. */
  "plan.refused": { readonly runId: string; readonly reason: string };
  "phase.started": {
    readonly runId: string;
    readonly phase: WorkPhase;
    readonly pass?: number | undefined;
    readonly tasks: readonly TaskSeed[];
  };
  "offer.leased": {
    readonly runId: string;
    readonly taskId: string;
    readonly leaseId: string;
    readonly deviceId: string;
    readonly expiresAt: number;
    /** Seconds that the device is expected to need. */
    readonly expectedSeconds: number;
    readonly why: LeaseReason;
  };
  /** A lapsed lease whose device came back before anybody else took the task. Other renewals are not logged. */
  "lease.renewed": { readonly runId: string; readonly leaseId: string; readonly expiresAt: number };
  "lease.expired": { readonly runId: string; readonly leaseId: string; readonly reason: "silent" | "stuck" };
  "lease.failed": {
    readonly runId: string;
    readonly leaseId: string;
    readonly code: string;
    readonly reason: string;
    /** Whether the device may try again. */
    readonly retry: boolean;
  };
  /** The result of the task; all its other leases end. */
  "lease.completed": {
    readonly runId: string;
    readonly taskId: string;
    readonly leaseId: string;
    readonly deviceId: string;
    readonly outputs: readonly ObjectReference[];
    readonly measured: Measured;
    readonly use?: SampleUse | undefined;
    /** What the gate measured, such as accuracies. */
    readonly evaluation?: Readonly<Record<string, number>> | undefined;
  };
  "upload.quarantined": {
    readonly runId: string;
    readonly taskId: string;
    readonly leaseId: string;
    readonly deviceId: string;
    readonly outputs: readonly ObjectReference[];
    readonly reason: string;
  };
  "task.givenUp": { readonly runId: string; readonly taskId: string; readonly reason: string };
  "harvest.requested": {
    readonly runId: string;
    readonly harvestId: string;
    /** Slots whose branches are there. */
    readonly slots: readonly string[];
    readonly missingClasses: readonly number[];
  };
  "harvest.made": {
    readonly runId: string;
    readonly harvestId: string;
    readonly outputs: readonly ObjectReference[];
    /** The head that the model answers with. */
    readonly head: string;
  };
  "harvest.failed": { readonly runId: string; readonly harvestId: string; readonly reason: string };
}

export type EventType = keyof EventData;
/** An event of one type; `at` is in milliseconds since 1970, UTC. */
export type EventOf<T extends EventType> = { readonly type: T; readonly at: number } & EventData[T];
/** Anything that can have happened. */
export type Event = { readonly [T in EventType]: EventOf<T> }[EventType];

/** An event before its time is set. */
export type Fact = { readonly [T in EventType]: { readonly type: T } & EventData[T] }[EventType];

/** The run that an event is about; undefined for one about a device or a token. */
export function runOf(event: Event): string | undefined {
  return "runId" in event ? event.runId : undefined;
}
