/** The part of a configuration that `sheaf baseline` reads beside what `sheaf run` does. */
import { z } from "zod";
import type { BaselineOptions } from "../baselines/federation.ts";

/** Settings of the baselines, the number of rounds not settled yet, and of what is done with them. */
export interface BaselineConfig extends Omit<BaselineOptions, "rounds"> {
  /** As many as make `training.epochs` local epochs when left out. */
  readonly rounds?: number | undefined;
  /** What a client trains on: all that the device holds, background with its true classes, or the samples of its own classes only. */
  readonly samples: "held" | "own";
  /** Rounds from one evaluation to the next; 0 for the last alone. */
  readonly evaluateEvery: number;
}

const count = z.number().int().positive();
const positive = z.number().positive();

/** The schema of `baseline` in a configuration. */
export const baselineSchema: z.ZodType<BaselineConfig, unknown> = z
  .strictObject({
    rounds: count.optional(),
    localEpochs: count.default(1),
    participation: z.number().gt(0).max(1).default(1),
    samples: z.enum(["held", "own"]).default("held"),
    width: positive.optional(),
    mu: z.number().nonnegative().default(0.01),
    members: count.optional(),
    baseWidth: positive.max(1).optional(),
    segments: count.default(4),
    maskAbsentClasses: z.boolean().optional(),
    calibrate: z.boolean().default(true),
    evaluateEvery: z.number().int().nonnegative().default(1),
  })
  .prefault({});
