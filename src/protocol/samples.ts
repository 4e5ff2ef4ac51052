/** What samples are, as far as who trains on them has to know: their shape, the classes they are of, and how pictures and sounds become them. */
import { z } from "zod";
import type { AudioFeatures, AudioInput } from "../features/features.ts";
import type { FeatureShape } from "../network/network.ts";
import { atLeastZero, classId, classNames, count, optional, positive } from "./values.ts";

/** How pictures and sounds become samples, for devices that prepare their own. */
export interface SamplePreparation {
  /** How a picture of other proportions is made to fit. */
  readonly resize: "cover" | "contain" | "stretch";
  /** Present where samples are clips. */
  readonly audio?: AudioInput;
}

/** What a run's samples are. */
export interface SampleFormat {
  readonly classNames: readonly string[];
  /** Class that nobody owns. */
  readonly otherClass?: number;
  readonly sampleShape: FeatureShape;
  /** Absent where the coordinator cannot say. */
  readonly preparation?: SamplePreparation;
}

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

export const sampleShape: z.ZodType<FeatureShape> = z.strictObject({ channels: extent, height: extent, width: extent });

const preparation: z.ZodType<SamplePreparation> = z.strictObject({
  resize: z.enum(["cover", "contain", "stretch"]),
  audio: optional(z.strictObject({ features, samples: z.int().min(1).max(100_000_000) })),
});

/** The fields of a message that says what samples are. */
export const sampleFormat: {
  readonly classNames: z.ZodType<readonly string[]>;
  readonly otherClass: z.ZodExactOptional<z.ZodType<number>>;
  readonly sampleShape: z.ZodType<FeatureShape>;
  readonly preparation: z.ZodExactOptional<z.ZodType<SamplePreparation>>;
} = {
  classNames,
  otherClass: optional(classId),
  sampleShape,
  preparation: optional(preparation),
};
