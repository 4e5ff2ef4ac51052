/** What the bearer of a join token may know before anything is enrolled: the runs that take devices, and what they will ask of one. */
import { z } from "zod";
import type { AudioFeatures, AudioInput } from "../features/features.ts";
import type { Network } from "../network/network.ts";
import { optional } from "./messages.ts";
import { networkSchema } from "./networkSchema.ts";
import { type RunStatus, runStatuses } from "./operatorMessages.ts";
import { atLeastZero, classId, classNames, count, id, positive, secret, shortText } from "./values.ts";

export interface InvitationRequest {
  readonly joinToken: string;
}

/** How pictures and sounds become samples, for devices that prepare their own. */
export interface SamplePreparation {
  /** How a picture of other proportions is made to fit. */
  readonly resize: "cover" | "contain" | "stretch";
  /** Present where samples are clips. */
  readonly audio?: AudioInput;
}

/** A run that a device may take part in. */
export interface InvitedRun {
  readonly runId: string;
  readonly name: string;
  readonly status: RunStatus;
  readonly classNames: readonly string[];
  /** Class that nobody owns. */
  readonly otherClass?: number;
  readonly sampleShape: { readonly channels: number; readonly height: number; readonly width: number };
  /** Absent where the coordinator cannot say. */
  readonly preparation?: SamplePreparation;
  /** The widest sub-model that a device may be given, with a logit for each class and one more. */
  readonly branch: Network;
  readonly epochs: number;
  readonly batchSize: number;
  /** Share of the samples of other classes that it trains on too. */
  readonly rho: number;
  readonly minimumDevices: number;
  /** Data for devices that have none: shards that nobody has taken, and samples and bytes of the largest. */
  readonly offered?: { readonly free: number; readonly samples: number; readonly bytes: number };
}

export interface Invitation {
  readonly serverId: string;
  readonly runs: readonly InvitedRun[];
}

export const invitationRequestSchema: z.ZodType<InvitationRequest> = z.strictObject({ joinToken: secret });

const extent = z.int().min(1).max(65_536);
const whole = z.int().min(1).max(384_000);
const features: z.ZodType<AudioFeatures> = z.strictObject({
  type: z.enum(["logMel", "mfcc"]),
  sampleRate: whole,
  windowMs: positive,
  hopMs: positive,
  fftSize: whole,
  melBands: whole,
  minHz: atLeastZero,
  maxHz: positive,
  coefficients: count,
  logOffset: positive,
});

export const sampleShapeSchema: z.ZodType<InvitedRun["sampleShape"]> = z.strictObject({ channels: extent, height: extent, width: extent });
export const preparationSchema: z.ZodType<SamplePreparation> = z.strictObject({
  resize: z.enum(["cover", "contain", "stretch"]),
  audio: optional(z.strictObject({ features, samples: z.int().min(1).max(100_000_000) })),
});

const invitedRun: z.ZodType<InvitedRun> = z.strictObject({
  runId: id,
  name: shortText,
  status: z.enum(runStatuses),
  classNames,
  otherClass: optional(classId),
  sampleShape: sampleShapeSchema,
  preparation: optional(preparationSchema),
  branch: networkSchema,
  epochs: z.int().min(1),
  batchSize: z.int().min(1),
  rho: atLeastZero,
  minimumDevices: z.int().min(1),
  offered: optional(z.strictObject({ free: count, samples: count, bytes: count })),
});

export const invitationSchema: z.ZodType<Invitation> = z.strictObject({ serverId: id, runs: z.array(invitedRun).max(1000) });
