/** The part of a configuration that `sheaf baseline` reads beside what `sheaf run` does. */
import { z } from "zod";

/** Settings of the baselines; a method reads those that it knows. */
export interface BaselineConfig {
  /** Rounds; as many as make `training.epochs` local epochs when left out. */
  readonly rounds?: number | undefined;
  /** Passes over its samples that a client makes in a round. */
  readonly localEpochs: number;
  /** Share of the clients that take part in a round. */
  readonly participation: number;
  /** What a client trains on: all that the device holds, background with its true classes, or the samples of its own classes only. */
  readonly samples: "held" | "own";
  /** One width for every client's network, instead of the method's own choice. */
  readonly width?: number | undefined;
  /** FedProx: weight of the proximal term. */
  readonly mu: number;
  /** Average of slim nets: how many. */
  readonly members?: number | undefined;
  /** Split-Mix: width of a base network. */
  readonly baseWidth?: number | undefined;
  /** FjORD: widths drawn in a local epoch. */
  readonly segments: number;
  /** Whether a client's head leaves out classes that it has no sample of. */
  readonly maskAbsentClasses?: boolean | undefined;
  /** Whether running statistics of batch norm are measured anew on the final weights. */
  readonly calibrate: boolean;
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
