/** The configuration of a run: one schema for files, `--set` and flags, with every default in it. */
import { z } from "zod";
import type { OptimizerConfig } from "../compile/optimizers.ts";
import type { Progressive } from "../compile/progressive.ts";
import type { Augmentation } from "../data/augment.ts";
import type { Preparation } from "../data/load.node.ts";
import { type AudioFeatures, defaultAudioFeatures } from "../features/features.ts";
import { type HeadType, headTypes } from "../harvest/heads.ts";
import type { ShapeChoice } from "../plan/shape.ts";
import { SheafError } from "../util/errors.ts";
import { type BaselineConfig, baselineSchema } from "./baselineConfig.ts";
import { type ServeConfig, serveSchema } from "./serveConfig.ts";

/** A device as configured: a profile of the catalog, values of its own, or both. */
export interface DeviceConfig {
  /** Unique name; the profile's name and a number when left out. */
  readonly id?: string | undefined;
  /** Name of a profile in the catalog. */
  readonly profile?: string | undefined;
  readonly macsPerSecond?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly bandwidthBitsPerSecond?: number | undefined;
  readonly watts?: number | undefined;
  /** Classes that it cares about, by name or number. */
  readonly classes?: readonly (string | number)[] | undefined;
}

/** A whole configuration, defaults filled in. */
export interface RunConfig {
  readonly seed: number;
  readonly data: {
    /**
     * Name in the table of data sets or of one added by `sheaf data add`, a path to data of one's own, a module that exports a data
     * set, or `auto`: CIFAR-10 when it is at hand, glyphs otherwise.
     */
    readonly name: string;
    /** Use this many training samples, drawn evenly by class; all when left out. */
    readonly trainCount?: number | undefined;
    readonly testCount?: number | undefined;
    /** What accuracies are measured on. With `validation` the test samples are not looked at, for choices between settings. */
    readonly evaluateOn: "test" | "validation";
    /** Share of the training samples split off for validation where the set has no validation part of its own. */
    readonly validationShare: number;
    /** Share split off for the test where the set has no test part of its own. */
    readonly testShare: number;
    readonly imageSize: Preparation["imageSize"];
    readonly resize: Preparation["resize"];
    readonly clipMs: number;
    /** What a network is given of a clip. */
    readonly features: AudioFeatures;
    readonly words?: readonly string[] | undefined;
    readonly silence?: boolean | undefined;
    readonly skipBadFiles: boolean;
  };
  readonly target: {
    /** Name in the table of networks, a network file (.json), an ONNX model (.onnx) or a module that exports a network. */
    readonly network: string;
    readonly width: number;
    /** Trained weights (safetensors) that the target, and by them its sub-models, start from; an ONNX model brings its own. */
    readonly weights?: string | undefined;
  };
  readonly training: {
    readonly epochs: number;
    readonly batchSize: number;
    readonly optimizer: OptimizerConfig;
    readonly schedule: {
      readonly type: "constant" | "cosine" | "oneCycle";
      /** Highest learning rate; the network's own default when left out. */
      readonly learningRate?: number | undefined;
      /** Share of all steps in which the rate rises to its peak; a constant schedule has none. */
      readonly warmup: number;
    };
    readonly labelSmoothing: number;
    readonly emaDecay: number;
    /** Tau of logit adjustment by the labels' shares; 0 for none. */
    readonly logitAdjustment: number;
    /** What trains: the processor (also when left out), a GPU by WebGPU, or a GPU where there is one that is faster. */
    readonly provider?: "cpu" | "webgpu" | "auto" | undefined;
    readonly augmentation: Augmentation;
    /** Smaller images in the first epochs, of sub-models and controls; whole ones throughout when left out. */
    readonly progressive?: Progressive | undefined;
  };
  readonly fleet: {
    readonly devices: readonly DeviceConfig[];
    readonly redundancy: number;
    readonly disjoint: boolean;
    readonly classesPerDevice?: number | undefined;
    /** Whether classes are dealt out one by one or superclass by superclass. */
    readonly groupBy: "class" | "coarse";
    /** The same width for all, instead of the widest that each device can carry. */
    readonly width?: number | undefined;
    /** No sub-model is wider than this. */
    readonly maxWidth: number;
    /** How a sub-model's multiply-adds are spread over its layers. */
    readonly shape: ShapeChoice;
    /** Highest learning rate of sub-models and the slim control, instead of the target's. */
    readonly learningRate?: number | undefined;
    /** Epochs of sub-models and the slim control, instead of the target's, which the ratio goes on counting with. */
    readonly epochs?: number | undefined;
    /** Smaller images in the first epochs of sub-models and the slim control alone. */
    readonly progressive?: Progressive | undefined;
    readonly deadlineSeconds?: number | undefined;
    /** Share of its samples, the hardest, that a sub-model is trained on after a forward pass over all; 1 for all. */
    readonly hardShare: number;
    /** Which of a trained target's filters a sub-model starts from: those that fire most for its classes, the first, or none (from scratch). */
    readonly warmStart: "activation" | "position" | "none";
    /**
     * Every device computes at least this many times less than training the target on its own samples would take. Left out,
     * and no width given, the planner aims at 11.8 and goes as high as it can.
     */
    readonly minimumRatio?: number | undefined;
  };
  readonly partition:
    | { readonly type: "byClass"; readonly overlap: "share" | "split" }
    | { readonly type: "dirichlet"; readonly alpha: number }
    | { readonly type: "shards"; readonly shardsPerDevice: number }
    | { readonly type: "iid" };
  /** Background samples of a device, as a share of the samples of classes that it does not own. */
  readonly rho: number;
  /** Where background samples come from: others' classes at hand, a public pool, own samples made unlike themselves, or nowhere. */
  readonly negatives: "local" | "pool" | "synthetic" | "none";
  /** With a pool: the public share of the training samples, which no device owns. */
  readonly poolShare: number;
  /** Further passes, in which each device trains its branch against the frozen scores of the others. */
  readonly settle: {
    /** 0 for none. */
    readonly passes: number;
    /** Epochs of one pass. */
    readonly epochs: number;
    /** Highest learning rate of a pass; a tenth of the sub-models' when left out. */
    readonly learningRate?: number | undefined;
    /** Background share of a pass, at most `rho`; `rho` when left out. */
    readonly rho?: number | undefined;
    /** One device after another, each against the latest of the others; or all at once, against those of the last pass. */
    readonly order: "sequential" | "together";
    /** Passes, from 1, that a device takes no part in, by device id. */
    readonly skip: Readonly<Record<string, readonly number[]>>;
  };
  /** The head that `model.onnx` answers with; all heads are reported. */
  readonly head: HeadType;
  readonly heads: {
    /** Heads made beside H0, H1 and H2; what they need is summed and charged. */
    readonly extra: readonly HeadType[];
    /** Random features of H4. */
    readonly expansion: number;
    /** Ridge of H2 to H4 and shrinkage of H5 where none is chosen. */
    readonly ridge?: number | undefined;
    /** Share of each class that is held out, to choose ridges on its sums; 0 to choose none. */
    readonly heldOutShare: number;
    /** Whether held-out samples are kept from training, or trained on and only summed apart. */
    readonly heldOutFrom: "training" | "sums";
    /** Whether each sample goes into the sums of one device that owns it, or of all of them. */
    readonly sums: "once" | "all";
    /** Sets of lost devices of each size above one that accuracies are measured for, beside all single ones; 0 for no table at all. */
    readonly lostSets: number;
  };
  readonly controls: { readonly central: boolean; readonly slim: boolean };
  /** What `sheaf baseline` does beside what all else says. */
  readonly baseline: BaselineConfig;
  /** What `sheaf serve` does beside what all else says. */
  readonly serve: ServeConfig;
  /** Jobs trained side by side, each on one thread; as many as there are cores when left out. */
  readonly workers?: number | undefined;
  /** Longest time between two checkpoints of a job. */
  readonly checkpointSeconds: number;
}

const positive = z.number().positive();
const whole = z.number().int().nonnegative();
const count = z.number().int().positive();
const share = z.number().min(0).max(1);

/** A union by `type` in which a value without one is of the default type, so that `--set` may change one key of it. */
const typed = <S extends z.ZodType>(type: string, schema: S): z.ZodType<z.output<S>, unknown> =>
  z.preprocess((value) => (typeof value === "object" && value !== null && !("type" in value) ? { type, ...value } : value), schema);

const optimizerSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("sgd"),
    momentum: z.number().min(0).max(1).default(0.9),
    nesterov: z.boolean().default(true),
    weightDecay: z.number().nonnegative().default(5e-4),
    clipNorm: positive.optional(),
  }),
  ...(["adam", "adamw"] as const).map((type) =>
    z.strictObject({
      type: z.literal(type),
      beta1: share.default(0.9),
      beta2: share.default(0.999),
      epsilon: positive.default(1e-8),
      weightDecay: z
        .number()
        .nonnegative()
        .default(type === "adam" ? 0 : 0.01),
      clipNorm: positive.optional(),
    }),
  ),
]);

const progressiveSchema = z.strictObject({ scale: z.number().gt(0).lt(1).default(0.5), epochs: z.number().gt(0).lt(1).default(0.3) });

const trainingSchema = z.strictObject({
  epochs: count.default(10),
  batchSize: count.default(64),
  optimizer: typed("sgd", optimizerSchema).prefault({}),
  schedule: z
    .strictObject({
      type: z.enum(["constant", "cosine", "oneCycle"]).default("cosine"),
      /** Highest learning rate; the network's own default when left out. */
      learningRate: positive.optional(),
      /** Share of all steps in which the rate rises to its peak; a constant schedule has none. */
      warmup: share.default(0.1),
    })
    .prefault({}),
  labelSmoothing: z.number().min(0).max(0.99).default(0),
  emaDecay: z.number().min(0).max(0.99999).default(0),
  logitAdjustment: z.number().min(0).max(10).default(0),
  provider: z.enum(["cpu", "webgpu", "auto"]).optional(),
  progressive: progressiveSchema.optional(),
  augmentation: z
    .strictObject({
      crop: whole.default(4),
      flip: z.boolean().default(true),
      cutout: whole.default(0),
      audio: z
        .strictObject({
          timeShiftMs: z.number().nonnegative().default(100),
          noiseProbability: share.default(0.8),
          noiseVolume: z.number().nonnegative().default(0.1),
          timeMaskFrames: whole.default(10),
          frequencyMaskBands: whole.default(6),
          masks: whole.default(1),
        })
        .prefault({}),
    })
    .prefault({}),
});

const deviceSchema = z.strictObject({
  /** Unique name; the profile's name and a number when left out. */
  id: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+$/, "must be letters, digits, _, . and -")
    .optional(),
  /** Name of a profile in the catalog. */
  profile: z.string().optional(),
  /** Values of its own, instead of the profile's. */
  macsPerSecond: positive.optional(),
  memoryBytes: positive.optional(),
  bandwidthBitsPerSecond: positive.optional(),
  watts: positive.optional(),
  /** Classes that it cares about, by name or number. */
  classes: z.array(z.union([z.string(), whole])).optional(),
});

const partitionSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("byClass"), overlap: z.enum(["share", "split"]).default("share") }),
  z.strictObject({ type: z.literal("dirichlet"), alpha: positive.default(0.5) }),
  z.strictObject({ type: z.literal("shards"), shardsPerDevice: count.default(2) }),
  z.strictObject({ type: z.literal("iid") }),
]);

const configSchema = z.strictObject({
  seed: z.number().int().default(0),
  data: z
    .strictObject({
      /** `auto`: CIFAR-10 when it is at hand, glyphs otherwise. */
      name: z.string().default("auto"),
      /** Use this many training and test samples, drawn evenly by class; all when left out. */
      trainCount: count.optional(),
      testCount: count.optional(),
      /** What accuracies are measured on. */
      evaluateOn: z.enum(["test", "validation"]).default("test"),
      validationShare: z.number().gt(0).lt(1).default(0.1),
      testShare: z.number().gt(0).lt(1).default(0.2),
      /** Size and channels (3 RGB, 1 grey) that images of one's own are brought to. */
      imageSize: z
        .strictObject({ height: count.default(32), width: count.default(32), channels: z.union([z.literal(1), z.literal(3)]).default(3) })
        .prefault({}),
      resize: z.enum(["cover", "contain", "stretch"]).default("cover"),
      /** Length that clips are padded or cut to. */
      clipMs: positive.default(1000),
      features: z
        .strictObject({
          type: z.enum(["logMel", "mfcc"]).default(defaultAudioFeatures.type),
          sampleRate: count.default(defaultAudioFeatures.sampleRate),
          windowMs: positive.default(defaultAudioFeatures.windowMs),
          hopMs: positive.default(defaultAudioFeatures.hopMs),
          fftSize: count.default(defaultAudioFeatures.fftSize),
          melBands: count.default(defaultAudioFeatures.melBands),
          minHz: z.number().nonnegative().default(defaultAudioFeatures.minHz),
          maxHz: positive.default(defaultAudioFeatures.maxHz),
          coefficients: count.default(defaultAudioFeatures.coefficients),
          logOffset: positive.default(defaultAudioFeatures.logOffset),
        })
        .prefault({}),
      /** Words of Speech Commands that are classes of their own; the others become "unknown". */
      words: z.array(z.string()).min(1).optional(),
      /** Adds a class "silence" to Speech Commands. */
      silence: z.boolean().optional(),
      /** Leaves unreadable files out, and says so, instead of failing. */
      skipBadFiles: z.boolean().default(false),
    })
    .prefault({}),
  target: z.strictObject({ network: z.string().default("vgg11"), width: positive.default(1), weights: z.string().optional() }).prefault({}),
  training: trainingSchema.prefault({}),
  fleet: z
    .strictObject({
      devices: z
        .array(deviceSchema)
        .min(1)
        .default([
          { profile: "raspberry-pi-4" },
          { profile: "phone-mid" },
          { profile: "laptop-browser" },
          { profile: "jetson-nano" },
          { profile: "desktop" },
        ]),
      redundancy: count.default(1),
      disjoint: z.boolean().default(false),
      classesPerDevice: count.optional(),
      /** Classes are dealt out one by one, or superclass by superclass. */
      groupBy: z.enum(["class", "coarse"]).default("class"),
      /** The same width for all, instead of the widest that each device can carry. */
      width: positive.optional(),
      /** No sub-model is wider than this. */
      maxWidth: positive.default(1),
      /** How a sub-model's multiply-adds are spread over its layers: by the network's recipe, all alike, an exponent, or relative channels by layer. */
      shape: z.union([z.enum(["recipe", "uniform"]), z.number().min(0).max(2), z.record(z.string(), positive)]).default("recipe"),
      learningRate: positive.optional(),
      epochs: count.optional(),
      progressive: progressiveSchema.optional(),
      deadlineSeconds: positive.optional(),
      hardShare: z.number().gt(0).max(1).default(1),
      /** Which of a trained target's filters a sub-model starts from. */
      warmStart: z.enum(["activation", "position", "none"]).default("activation"),
      /** Every device computes at least this many times less than training the target on its own samples would take. */
      minimumRatio: positive.optional(),
    })
    .prefault({}),
  partition: typed("byClass", partitionSchema).prefault({}),
  /** Background samples of a device, as a share of the samples of classes that it does not own. */
  rho: share.default(0.25),
  /** Where background samples come from. */
  negatives: z.enum(["local", "pool", "synthetic", "none"]).default("local"),
  poolShare: z.number().gt(0).lt(1).default(0.1),
  settle: z
    .strictObject({
      passes: whole.default(0),
      epochs: count.default(1),
      learningRate: positive.optional(),
      rho: share.optional(),
      order: z.enum(["sequential", "together"]).default("sequential"),
      skip: z.record(z.string(), z.array(count)).default({}),
    })
    .prefault({}),
  head: z.enum(headTypes).default("H2"),
  heads: z
    .strictObject({
      extra: z.array(z.enum(headTypes)).default([]),
      expansion: count.default(1024),
      ridge: positive.optional(),
      heldOutShare: z.number().min(0).max(0.5).default(0),
      heldOutFrom: z.enum(["training", "sums"]).default("training"),
      /** Each sample goes into the sums of one device that owns it, or of all of them. */
      sums: z.enum(["once", "all"]).default("once"),
      lostSets: whole.default(2),
    })
    .prefault({}),
  controls: z.strictObject({ central: z.boolean().default(true), slim: z.boolean().default(true) }).prefault({}),
  baseline: baselineSchema,
  serve: serveSchema,
  /** Jobs trained side by side, each on one thread; as many as there are cores when left out. */
  workers: count.optional(),
  checkpointSeconds: positive.default(30),
});

/** JSON Schema of a configuration as written, every key with its default, for editors and documentation. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(configSchema, { io: "input" }) as Readonly<Record<string, unknown>>;
}

/**
 * Checks a configuration and fills in the defaults.
 * Throws `config`, one sentence: which key, what is expected, what it holds.
 */
export function parseConfig(value: unknown, where: string = "the configuration"): RunConfig {
  const result = configSchema.safeParse(value ?? {}, { reportInput: true });
  if (result.success) return result.data as RunConfig;
  const issue = result.error.issues[0];
  const path = issue?.path.join(".") || "(top level)";
  const known = issue?.code === "unrecognized_keys" ? ` Known keys there: ${keysAt(issue.path).join(", ")}.` : "";
  const got = issue && "input" in issue && issue.input !== undefined ? `, got ${JSON.stringify(issue.input)}` : "";
  throw new SheafError(
    "config",
    `In ${where}, ${path}: ${issue?.message ?? "invalid"}${known ? "." : got}${known || "; correct it and run again."}`,
  );
}

/** Keys that the defaults show at a path; enough to remind a reader what may stand there. */
function keysAt(path: readonly PropertyKey[]): readonly string[] {
  let schema: unknown = configSchema;
  for (const key of path) {
    while (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) schema = schema.unwrap();
    if (schema instanceof z.ZodObject) schema = schema.shape[String(key)];
    else if (schema instanceof z.ZodArray) schema = schema.element;
    else return [];
  }
  while (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional) schema = schema.unwrap();
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
