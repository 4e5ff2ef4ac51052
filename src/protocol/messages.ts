/** What a device and the coordinator say to each other: the type of each message, and the schema that checks it. Unknown keys are refused. */
import { z } from "zod";
import type { FeatureShape } from "../network/network.ts";
import { sampleShape } from "./samples.ts";
import { type TaskKind, type TaskSpec, taskKinds, taskSpecSchema } from "./tasks.ts";
import {
  atLeastZero,
  base64Of,
  classNames,
  count,
  id,
  instant,
  longText,
  maximumClasses,
  objectBytes,
  optional,
  positive,
  secret,
  sha256,
  share,
  shortText,
} from "./values.ts";

/** Who a caller is; a route lists those that may call it. */
export const roles = ["public", "device", "viewer", "admin"] as const;
export type Role = (typeof roles)[number];

/** What a device measured of itself. */
export interface MeasuredProfile {
  /** Sustained float32 multiply-adds per second in training. */
  readonly macsPerSecond: number;
  /** Memory that training may use. */
  readonly memoryBytes: number;
  readonly bandwidthBitsPerSecond: number;
  readonly watts?: number;
}

/** What a device says of its data: what the plan needs and no more. */
export interface DataSummary {
  /** In the device's own order. */
  readonly classNames: readonly string[];
  /** Samples by class; or, in its place, */
  readonly counts?: readonly number[];
  /** whether there are samples, by class, for those who keep counts to themselves. */
  readonly present?: readonly boolean[];
  readonly sampleShape: FeatureShape;
  /** SHA-256 over what was prepared how, so that a device whose data have changed is noticed. */
  readonly fingerprint: string;
}

/** What a device says of itself when it enrols, before it signs. */
export interface EnrolmentFacts {
  readonly joinToken: string;
  readonly name: string;
  readonly profile: MeasuredProfile;
  readonly data: DataSummary;
  /** Program and version, for instance `sheaf/0.2.0 node/20.20.0 linux-x64`. */
  readonly software: string;
  /** Classes the device would like to own, by name, dearest first. */
  readonly preferredClasses?: readonly string[];
}

/** What an enrolment's signature is over, as canonical JSON. */
export interface EnrolmentClaim extends EnrolmentFacts {
  /** Raw Ed25519 public key, base64. Enrolling again with the same key gives the same device. */
  readonly publicKey: string;
  /** The coordinator's clock, as the device knows it from `/healthz`. */
  readonly at: number;
  /** 16 random bytes, base64; serves once. */
  readonly nonce: string;
}

export interface Enrolment extends EnrolmentClaim {
  /** Ed25519, base64; proves that the device holds the secret of `publicKey`. See `signing.ts`. */
  readonly signature: string;
}

export interface AccessGrant {
  readonly accessToken: string;
  readonly expiresAt: number;
  /** The coordinator's clock when it answered, by which a device corrects its own. */
  readonly now: number;
}

export interface Enrolled extends AccessGrant {
  readonly deviceId: string;
  /** Identity of the coordinator; what token requests are signed for. */
  readonly serverId: string;
}

/** What a token request's signature is over, as canonical JSON. */
export interface TokenClaim {
  readonly deviceId: string;
  /** The device's clock, corrected by the last `now`. */
  readonly at: number;
  /** 16 random bytes, base64; serves once. */
  readonly nonce: string;
}

export interface TokenRequest extends TokenClaim {
  /** Ed25519, base64; see `signing.ts`. */
  readonly signature: string;
}

export interface Capabilities {
  /** None from a device that may not work now, and only says that it is there. */
  readonly kinds: readonly TaskKind[];
  /** Memory that training may use now, where it is less than was enrolled. */
  readonly memoryBytes?: number;
}

export interface OfferRequest {
  /** How long the answer may wait for work to come up; at most 30 seconds. */
  readonly waitMs: number;
  readonly capabilities: Capabilities;
  readonly freeDiskBytes?: number;
  /** Present again whenever the data have changed since enrolment. */
  readonly data?: DataSummary;
}

/** An object by what it is for. */
export interface ObjectReference {
  /** For instance `parameters`, `statistics`, `heldOut`, `pool`, `branches`, `initial`. */
  readonly role: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface Offer {
  readonly leaseId: string;
  readonly runId: string;
  readonly kind: TaskKind;
  readonly spec: TaskSpec;
  /** Objects that the specification names; what the list of branches names may be fetched too. */
  readonly inputs: readonly ObjectReference[];
  readonly expiresAt: number;
  /** Longest time between two heartbeats. */
  readonly heartbeatMs: number;
}

export interface OfferAnswer {
  /** Null when nothing came up in time. */
  readonly offer: Offer | null;
  /** How long to wait before asking again; 0 where waiting was the answer. */
  readonly retryAfterMs: number;
  readonly now: number;
}

export const phases = ["fetching", "preparing", "training", "statistics", "uploading"] as const;

export interface Heartbeat {
  readonly phase: (typeof phases)[number];
  /** Of the whole task. */
  readonly progress: number;
  readonly epoch?: number;
  readonly step?: number;
  readonly loss?: number;
  /** Share of this epoch's samples so far that were classified rightly. */
  readonly accuracy?: number;
}

export interface HeartbeatAnswer {
  readonly expiresAt: number;
  /** Stop the work; nobody needs its result. */
  readonly cancel: boolean;
  readonly now: number;
}

/** Samples that a result was made from, as the global model's heads need them. */
export interface SampleUse {
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  readonly madeSamples?: number;
  /** In the order of the run's classes, background included; left out by a device that keeps counts to itself. */
  readonly classCounts?: readonly number[];
}

export interface Completion {
  readonly outputs: readonly ObjectReference[];
  readonly measured: { readonly seconds: number; readonly macs: number; readonly samples: number };
  readonly use?: SampleUse;
}

export interface CompletionAnswer {
  readonly accepted: boolean;
  /** Why not: the gate's sentence, or that another device was first. */
  readonly reason?: string;
}

export interface TaskFailure {
  /** A `SheafError` code or the like. */
  readonly code: string;
  readonly reason: string;
  /** Whether this device may be given the task again. */
  readonly retry: boolean;
}

export type Nothing = Readonly<Record<never, never>>;

export interface UploadRequest {
  readonly sha256: string;
  readonly bytes: number;
}

/** How far an upload is. `done` says that the object is there whole and its hash was checked. */
export interface UploadState {
  readonly uploadId: string;
  /** Bytes that are safe; the next chunk starts here. */
  readonly offset: number;
  readonly done: boolean;
}

export const profileSchema: z.ZodType<MeasuredProfile> = z.strictObject({
  macsPerSecond: positive,
  memoryBytes: positive,
  bandwidthBitsPerSecond: positive,
  watts: optional(positive),
});

const data: z.ZodType<DataSummary> = z
  .strictObject({
    classNames,
    counts: optional(z.array(count).max(maximumClasses)),
    present: optional(z.array(z.boolean()).max(maximumClasses)),
    sampleShape,
    fingerprint: sha256,
  })
  .refine(({ counts, present }) => (counts === undefined) !== (present === undefined), "must have counts or present, and not both")
  .refine(
    (summary) => (summary.counts ?? summary.present)?.length === summary.classNames.length,
    "must have as many counts or presences as classes",
  )
  .refine((summary) => new Set(summary.classNames).size === summary.classNames.length, "must not name a class twice");

/** When a claim was made, the nonce that serves it once, and the signature over it. */
const proof = { at: instant, nonce: base64Of(16), signature: base64Of(64) };

export const enrolmentSchema: z.ZodType<Enrolment> = z.strictObject({
  ...proof,
  joinToken: secret,
  publicKey: base64Of(32),
  name: shortText,
  profile: profileSchema,
  data,
  software: shortText,
  preferredClasses: optional(classNames),
});

const grant = { accessToken: secret, expiresAt: instant, now: instant };
export const accessGrantSchema: z.ZodType<AccessGrant> = z.strictObject(grant);
export const enrolledSchema: z.ZodType<Enrolled> = z.strictObject({ ...grant, deviceId: id, serverId: id });

export const tokenRequestSchema: z.ZodType<TokenRequest> = z.strictObject({
  deviceId: id,
  ...proof,
});

/** Longest wait of a long poll. */
export const maximumWaitMs = 30_000;

export const taskKind: z.ZodType<TaskKind> = z.enum(taskKinds);
export const offerRequestSchema: z.ZodType<OfferRequest> = z.strictObject({
  waitMs: z.int().min(0).max(maximumWaitMs),
  capabilities: z.strictObject({ kinds: z.array(taskKind).max(taskKinds.length), memoryBytes: optional(positive) }),
  freeDiskBytes: optional(atLeastZero),
  data: optional(data),
});

const objectRole = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, "must be 1 to 100 letters, digits, _ or -");
export const objectReferenceSchema: z.ZodType<ObjectReference> = z.strictObject({ role: objectRole, sha256, bytes: objectBytes });

export const offerSchema: z.ZodType<Offer> = z
  .strictObject({
    leaseId: id,
    runId: id,
    kind: taskKind,
    spec: taskSpecSchema,
    inputs: z.array(objectReferenceSchema).max(64),
    expiresAt: instant,
    heartbeatMs: z.int().min(100).max(3_600_000),
  })
  .refine(({ kind, spec }) => kind === spec.kind, "must be of the kind that its specification says");

export const offerAnswerSchema: z.ZodType<OfferAnswer> = z.strictObject({
  offer: offerSchema.nullable(),
  retryAfterMs: z.int().min(0).max(3_600_000),
  now: instant,
});

export const heartbeatSchema: z.ZodType<Heartbeat> = z.strictObject({
  phase: z.enum(phases),
  progress: share,
  epoch: optional(count),
  step: optional(count),
  loss: optional(z.number()),
  accuracy: optional(share),
});
export const heartbeatAnswerSchema: z.ZodType<HeartbeatAnswer> = z.strictObject({ expiresAt: instant, cancel: z.boolean(), now: instant });

export const completionSchema: z.ZodType<Completion> = z.strictObject({
  outputs: z.array(objectReferenceSchema).min(1).max(16),
  measured: z.strictObject({ seconds: atLeastZero, macs: atLeastZero, samples: count }),
  use: optional(
    z.strictObject({
      ownSamples: count,
      backgroundSamples: count,
      madeSamples: optional(count),
      classCounts: optional(z.array(count).max(maximumClasses)),
    }),
  ),
});
export const completionAnswerSchema: z.ZodType<CompletionAnswer> = z.strictObject({ accepted: z.boolean(), reason: optional(longText) });

export const taskFailureSchema: z.ZodType<TaskFailure> = z.strictObject({ code: id, reason: longText, retry: z.boolean() });
export const nothingSchema: z.ZodType<Nothing> = z.strictObject({});

export const uploadRequestSchema: z.ZodType<UploadRequest> = z.strictObject({ sha256, bytes: objectBytes });
export const uploadStateSchema: z.ZodType<UploadState> = z.strictObject({ uploadId: id, offset: objectBytes, done: z.boolean() });
