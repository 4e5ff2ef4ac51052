/** Networks and training settings as they cross the wire, checked for form; whether they make sense is for `placeLayers` and `checkJob` to say. */
import { z } from "zod";
import type { OptimizerConfig } from "../compile/optimizers.ts";
import type { ScheduleConfig } from "../compile/schedules.ts";
import type { Layer, LayerAttributes, LayerType, Network } from "../network/network.ts";
import type { TrainingSettings } from "../train/job.ts";
import { atLeastZero, positive, share, shortText } from "./values.ts";

/** Longest side, widest layer and largest kernel that is read. */
const extent = z.int().min(1).max(65_536);
const padding = z.int().min(0).max(65_536);
const pair = z.tuple([extent, extent]);
const paddingPair = z.tuple([padding, padding]);
const layerName = z.string().regex(/^[A-Za-z0-9_-]{1,200}$/, "must be letters, digits, _ or -");

/** Attributes by layer type; total, so that a new layer type does not compile until it can be sent. */
const attributes: { readonly [T in LayerType]: { readonly [K in keyof LayerAttributes[T]]: z.ZodType<LayerAttributes[T][K]> } } = {
  conv2d: { outChannels: extent, kernel: pair, stride: pair, padding: paddingPair, dilation: pair, groups: extent, bias: z.boolean() },
  batchNorm: { epsilon: positive, momentum: share },
  groupNorm: { groups: extent, epsilon: positive },
  relu: {},
  leakyRelu: { slope: z.number() },
  clip: { minimum: z.number(), maximum: z.number() },
  sigmoid: {},
  hardSwish: {},
  zeroPad: { padding: z.tuple([padding, padding, padding, padding]) },
  maxPool: { kernel: pair, stride: pair, padding: paddingPair },
  avgPool: { kernel: pair, stride: pair, padding: paddingPair, countPadding: z.boolean() },
  globalAvgPool: {},
  flatten: {},
  linear: { outFeatures: z.int().min(1).max(1_000_000), bias: z.boolean() },
  dropout: { probability: share },
  add: {},
  concat: {},
};

const layerVariants = (Object.keys(attributes) as LayerType[]).map((type) =>
  z.strictObject({ name: layerName, type: z.literal(type), inputs: z.array(layerName).min(1).max(64), ...attributes[type] }),
);
const layer = z.discriminatedUnion("type", layerVariants as [(typeof layerVariants)[number]]) as unknown as z.ZodType<Layer>;

/** A network of at most 5000 layers. */
export const networkSchema: z.ZodType<Network> = z.strictObject({
  name: shortText,
  input: z.strictObject({
    channels: extent,
    height: extent,
    width: extent,
    mean: z.array(z.number()).max(65_536),
    std: z.array(z.number()).max(65_536),
  }),
  layers: z.array(layer).min(1).max(5000),
});

const common = { weightDecay: atLeastZero, clipNorm: positive.exactOptional(), proximal: atLeastZero.exactOptional() };
const adam = {
  ...common,
  beta1: share.exactOptional(),
  beta2: share.exactOptional(),
  epsilon: positive.exactOptional(),
};
const optimizerSchema: z.ZodType<OptimizerConfig> = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("sgd"), ...common, momentum: share, nesterov: z.boolean() }),
  z.strictObject({ type: z.literal("adam"), ...adam }),
  z.strictObject({ type: z.literal("adamw"), ...adam }),
]);

const scheduleSchema: z.ZodType<ScheduleConfig> = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("constant"), learningRate: positive, warmup: share.exactOptional() }),
  z.strictObject({
    type: z.literal("cosine"),
    learningRate: positive,
    warmup: share.exactOptional(),
    finalFraction: share.exactOptional(),
  }),
  z.strictObject({
    type: z.literal("oneCycle"),
    learningRate: positive,
    rise: share.exactOptional(),
    startDivisor: positive.exactOptional(),
    finalDivisor: positive.exactOptional(),
  }),
]);

/** How a device is to train. */
export const trainingSettingsSchema: z.ZodType<TrainingSettings> = z.strictObject({
  epochs: z.int().min(1).max(100_000),
  batchSize: z.int().min(1).max(65_536),
  optimizer: optimizerSchema,
  schedule: scheduleSchema,
  labelSmoothing: share,
  emaDecay: share,
  augmentation: z.strictObject({
    crop: padding,
    flip: z.boolean(),
    cutout: padding,
    audio: z
      .strictObject({
        timeShiftMs: atLeastZero,
        noiseProbability: share,
        noiseVolume: atLeastZero,
        timeMaskFrames: padding,
        frequencyMaskBands: padding,
        masks: z.int().min(0).max(1000),
      })
      .exactOptional(),
  }),
  logitAdjustment: z.number().min(0).max(10).exactOptional(),
  hardShare: z.number().gt(0).max(1).exactOptional(),
  progressive: z.strictObject({ scale: z.number().gt(0).lt(1), epochs: z.number().gt(0).lt(1) }).exactOptional(),
});
