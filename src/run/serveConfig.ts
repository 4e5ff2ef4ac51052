/** The part of a configuration that `sheaf serve` reads beside what `sheaf run` does: when a fleet starts, how long it waits for whom, what it accepts. */
import { z } from "zod";

/** Samples that the coordinator has none of itself: what it must know of them to make the target. */
export interface FleetSamples {
  readonly classNames: readonly string[];
  readonly shape: { readonly channels: number; readonly height: number; readonly width: number };
  /** By channel, of raw values. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Settings of a live fleet. */
export interface ServeConfig {
  /** Devices before a plan is made. */
  readonly minimumDevices: number;
  /** Devices that must hold each class before a plan is made. */
  readonly minimumOwners: number;
  /** After so long the plan is made with what is there; the run waits for as long as it takes when left out. */
  readonly startBySeconds?: number | undefined;
  readonly heartbeatSeconds: number;
  /** A lease lapses after so long without a heartbeat. */
  readonly leaseSeconds: number;
  /** How long a task waits for its own device before another may take it. */
  readonly substituteAfterSeconds: number;
  /** A device that takes so many times the expected time is a straggler. */
  readonly stragglerFactor: number;
  /** How long a task may lie without anybody taking it. */
  readonly giveUpAfterSeconds: number;
  /** How long a run that has nothing else to do waits for devices that are not heard of. */
  readonly lostAfterSeconds: number;
  /** Leases of one task before it is given up. */
  readonly maximumAttempts: number;
  /** Whether devices that come while others train get a part of their own. */
  readonly admitLate: boolean;
  /** A substitute holds at least this share of the planned samples of a task. */
  readonly minimumSampleShare: number;
  /** Least accuracy of a branch on validation samples of its own classes; 0 accepts any. */
  readonly minimumOwnAccuracy: number;
  /** Devices without data of their own that may train with the coordinator's: its training samples, but for a public pool, are dealt out to so many. */
  readonly offeredShards: number;
  /** The devices' samples where the coordinator has none: `data` is then not loaded, and nothing is validated. */
  readonly samples?: FleetSamples | undefined;
}

const count = z.number().int().positive();
const positive = z.number().positive();
const share = z.number().min(0).max(1);

/** The schema of `serve` in a configuration. */
export const serveSchema: z.ZodType<ServeConfig, unknown> = z
  .strictObject({
    minimumDevices: count.default(2),
    minimumOwners: count.default(1),
    startBySeconds: positive.optional(),
    heartbeatSeconds: positive.max(600).default(10),
    leaseSeconds: positive.default(60),
    substituteAfterSeconds: positive.default(600),
    stragglerFactor: z.number().gt(1).default(3),
    giveUpAfterSeconds: positive.default(86_400),
    lostAfterSeconds: positive.default(3600),
    maximumAttempts: count.default(20),
    admitLate: z.boolean().default(false),
    minimumSampleShare: share.default(0.5),
    minimumOwnAccuracy: share.default(0),
    offeredShards: z.number().int().min(0).max(10_000).default(0),
    samples: z
      .strictObject({
        classNames: z.array(z.string().min(1)).min(2),
        shape: z.strictObject({ channels: count, height: count, width: count }),
        mean: z.array(z.number()).min(1),
        std: z.array(positive).min(1),
      })
      .optional(),
  })
  .prefault({});
