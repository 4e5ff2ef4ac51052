/** What a device is asked to do: everything that determines the result but its own samples. */
import { z } from "zod";
import type { Network } from "../network/network.ts";
import type { TrainingSettings } from "../train/job.ts";
import { networkSchema, trainingSettingsSchema } from "./networkSchema.ts";
import { classId, classNames, id, maximumClasses, sha256, share } from "./values.ts";

/** Kinds of work, in the order in which a run needs them. */
export const taskKinds = ["train", "statistics", "settle"] as const;
export type TaskKind = (typeof taskKinds)[number];

/** A device's sub-model as others need it: its place in the global model and where its weights are. */
export interface Branch {
  /** Device of the plan; names the branch. */
  readonly device: string;
  /** Class ids, ascending; the network's last logit is "other". */
  readonly taskSet: readonly number[];
  readonly network: Network;
  /** Safetensors with every parameter and layer state. */
  readonly parameters: string;
  /** How long these are. */
  readonly parameterBytes: number;
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  /** How many of the background samples were made from own samples. */
  readonly madeSamples?: number;
  /** Tau of the logit adjustment that it was trained with. */
  readonly logitAdjustment?: number;
  /** Training samples per class, background included. */
  readonly classCounts: readonly number[];
}

/** Where samples for "other" come from. */
export interface Background {
  readonly source: "local" | "pool" | "synthetic" | "none";
  /** Background samples as a share of the samples of classes that the device does not own. */
  readonly rho: number;
  /** With `pool`: the object that holds the pool. */
  readonly pool?: string;
}

interface CommonSpec {
  /** Unique in its run; with the seed it determines every random choice, whoever does the work. */
  readonly taskId: string;
  /** Device of the plan whose part of the work this is; another may be the one that does it. */
  readonly device: string;
  /** The run's seed. */
  readonly seed: number;
  /** All classes of the run; class ids are places in it. A device's own data may list them in another order. */
  readonly classNames: readonly string[];
  /** Class that is no class but "none of these", where the data have one. */
  readonly otherClass?: number;
}

/** Train a sub-model alone. Output: role `parameters`, safetensors. */
export interface TrainSpec extends CommonSpec {
  readonly kind: "train";
  readonly taskSet: readonly number[];
  readonly network: Network;
  readonly settings: TrainingSettings;
  readonly background: Background;
  /** Share of each own class that is kept from training, for a later statistics task. */
  readonly heldOutShare?: number;
  /** Safetensors to start from. */
  readonly initial?: string;
}

/** Run all branches over own samples once and sum. Outputs: role `statistics`, and `heldOut` where a share is held out. */
export interface StatisticsSpec extends CommonSpec {
  readonly kind: "statistics";
  /** The object that lists all branches; see `branchList.ts`. */
  readonly branches: string;
  /** Classes whose samples this device sums. */
  readonly taskSet: readonly number[];
  readonly background: Background;
  /** Whether products of features and log-probabilities are summed, for H3. */
  readonly scores: boolean;
  /** Random features of H4; 0 for none. */
  readonly expansion: number;
  readonly heldOutShare?: number;
  /** Whether held-out samples are kept from training too, or only summed apart. */
  readonly heldOutFrom?: "training" | "sums";
}

/** Train the device's own branch against the frozen others. Output: role `parameters`, safetensors. */
export interface SettleSpec extends CommonSpec {
  readonly kind: "settle";
  /** Pass, from 1. */
  readonly pass: number;
  readonly taskSet: readonly number[];
  /** The object that lists all branches as they now are, the device's own among them; see `branchList.ts`. */
  readonly branches: string;
  readonly settings: TrainingSettings;
  readonly background: Background;
  /** Share of the background that takes part in this pass. */
  readonly backgroundShare: number;
  readonly heldOutShare?: number;
}

export type TaskSpec = TrainSpec | StatisticsSpec | SettleSpec;

/** Class ids, ascending. */
export const taskSet: z.ZodType<readonly number[]> = z
  .array(classId)
  .min(1)
  .max(maximumClasses)
  .refine((ids) => ids.every((v, i) => i === 0 || v > (ids[i - 1] as number)), "must be ascending and name no class twice");

const background = z.strictObject({
  source: z.enum(["local", "pool", "synthetic", "none"]),
  rho: share,
  pool: sha256.exactOptional(),
});

const common = {
  taskId: id,
  device: id,
  seed: z.int(),
  classNames,
  otherClass: classId.exactOptional(),
};
const heldOutShare = z.number().min(0).lt(1).exactOptional();

/** The specification of a task, told apart by `kind`. */
export const taskSpecSchema: z.ZodType<TaskSpec> = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("train"),
    ...common,
    taskSet,
    network: networkSchema,
    settings: trainingSettingsSchema,
    background,
    heldOutShare,
    initial: sha256.exactOptional(),
  }),
  z.strictObject({
    kind: z.literal("statistics"),
    ...common,
    branches: sha256,
    taskSet,
    background,
    scores: z.boolean(),
    expansion: z.int().min(0).max(1_000_000),
    heldOutShare,
    heldOutFrom: z.enum(["training", "sums"]).exactOptional(),
  }),
  z.strictObject({
    kind: z.literal("settle"),
    ...common,
    pass: z.int().min(1).max(10_000),
    taskSet,
    branches: sha256,
    settings: trainingSettingsSchema,
    background,
    backgroundShare: share,
    heldOutShare,
  }),
]);
