/** What the coordinator measured of a run's model on validation samples of its own: the object `evaluation` among the run's outputs, as JSON. */
import { z } from "zod";
import { count, optional, share, shortText } from "./values.ts";

/** A head as the model that it would be. */
export interface HeadEvaluation {
  /** For instance `H0`. */
  readonly head: string;
  readonly accuracy: number;
  /** By class; null where there is no sample of it. */
  readonly perClass: readonly (number | null)[];
  /** Counts; row = true class, column = predicted class. */
  readonly confusion: readonly (readonly number[])[];
}

/** The model with the free head, made of the branches as they were after a settle pass; pass 0 is before the first. */
export interface PassEvaluation {
  readonly pass: number;
  readonly H0: number;
  /** Devices of the plan whose branch was not settled in this pass. */
  readonly skipped: readonly string[];
}

export interface FleetEvaluation {
  /** Of the model as it is, with the head that it answers with. */
  readonly accuracy: number;
  readonly samples: number;
  readonly head: string;
  /** All heads that could be made, the model's own among them. */
  readonly heads: readonly HeadEvaluation[];
  /** With settle passes. */
  readonly settlePasses?: readonly PassEvaluation[];
}

export const evaluationSchema: z.ZodType<FleetEvaluation> = z.object({
  accuracy: share,
  samples: count,
  head: shortText,
  heads: z.array(z.object({ head: shortText, accuracy: share, perClass: z.array(share.nullable()), confusion: z.array(z.array(count)) })),
  settlePasses: optional(z.array(z.object({ pass: count, H0: share, skipped: z.array(shortText) }))),
});
