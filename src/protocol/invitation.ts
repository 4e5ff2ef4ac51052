/** What the bearer of a join token may know before anything is enrolled: the runs that take devices, and what they will ask of one. */
import { z } from "zod";
import type { Network } from "../network/network.ts";
import { networkSchema } from "./networkSchema.ts";
import { type RunStatus, runStatuses } from "./operatorMessages.ts";
import { type SampleFormat, sampleFormat } from "./samples.ts";
import { atLeastZero, count, id, optional, secret, shortText } from "./values.ts";

export interface InvitationRequest {
  readonly joinToken: string;
}

/** A run that a device may take part in. */
export interface InvitedRun extends SampleFormat {
  readonly runId: string;
  readonly name: string;
  readonly status: RunStatus;
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

const invitedRun: z.ZodType<InvitedRun> = z.strictObject({
  runId: id,
  name: shortText,
  status: z.enum(runStatuses),
  ...sampleFormat,
  branch: networkSchema,
  epochs: z.int().min(1),
  batchSize: z.int().min(1),
  rho: atLeastZero,
  minimumDevices: z.int().min(1),
  offered: optional(z.strictObject({ free: count, samples: count, bytes: count })),
});

export const invitationSchema: z.ZodType<Invitation> = z.strictObject({ serverId: id, runs: z.array(invitedRun).max(1000) });
