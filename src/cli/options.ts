/** Options that every command shares, and how they become one configuration. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { RunConfig } from "../run/config.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

export interface CommonOptions {
  readonly json?: boolean;
  readonly seed?: number;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly out?: string;
  readonly resume?: boolean;
  readonly data?: string;
  readonly dataSet?: string;
  readonly verbose?: boolean;
}

const integer =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least) throw new InvalidArgumentError(`Expected a whole number of at least ${least}.`);
    return value;
  };
const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
};

/** Flags that stand for a configuration key. */
export type ConfigFlag =
  | "seed"
  | "dataSet"
  | "trainCount"
  | "testCount"
  | "network"
  | "width"
  | "epochs"
  | "batch"
  | "learningRate"
  | "subWidth"
  | "redundancy"
  | "classesPerDevice"
  | "rho"
  | "head"
  | "workers";

interface FlagEntry {
  readonly flag: string;
  /** The configuration key that it sets. */
  readonly key: string;
  readonly parse: (text: string) => unknown;
  readonly help: string;
}

/** The total table of flags, so that a flag means the same in every command. */
const configFlags: { readonly [F in ConfigFlag]: FlagEntry } = {
  seed: { flag: "--seed <n>", key: "seed", parse: integer(Number.MIN_SAFE_INTEGER), help: "seed of everything random (0)" },
  dataSet: {
    flag: "--data-set <name>",
    key: "data.name",
    parse: String,
    help: "name or path of a data set (sheaf data lists names); auto by default",
  },
  trainCount: { flag: "--train-count <n>", key: "data.trainCount", parse: integer(1), help: "use this many training samples" },
  testCount: { flag: "--test-count <n>", key: "data.testCount", parse: integer(1), help: "use this many test samples" },
  network: {
    flag: "--network <name>",
    key: "target.network",
    parse: String,
    help: "alexnet, vgg11, vgg13, vgg16, resnet18, kws-alexnet, kws-vgg, ds-cnn, tiny, or a file (.json, .onnx, .ts, .mjs, .js)",
  },
  width: { flag: "--width <factor>", key: "target.width", parse: number, help: "width of the network, 1 is full" },
  epochs: { flag: "--epochs <n>", key: "training.epochs", parse: integer(1), help: "passes over the data" },
  batch: { flag: "--batch <n>", key: "training.batchSize", parse: integer(1), help: "samples a training step" },
  learningRate: { flag: "--learning-rate <rate>", key: "training.schedule.learningRate", parse: number, help: "highest learning rate" },
  subWidth: {
    flag: "--sub-width <factor>",
    key: "fleet.width",
    parse: number,
    help: "one width for all sub-models, instead of sizing each",
  },
  redundancy: { flag: "--redundancy <n>", key: "fleet.redundancy", parse: integer(1), help: "devices that answer for each class" },
  classesPerDevice: {
    flag: "--classes-per-device <n>",
    key: "fleet.classesPerDevice",
    parse: integer(1),
    help: "classes in each task set",
  },
  rho: { flag: "--rho <share>", key: "rho", parse: number, help: "background share of the other classes' samples" },
  head: { flag: "--head <head>", key: "head", parse: String, help: "head of the global model: H0 to H5" },
  workers: { flag: "--workers <n>", key: "workers", parse: integer(1), help: "jobs trained side by side" },
};

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];

/** Adds the shared options, and the configuration flags that the command names. */
export function addOptions(command: Command, flags: readonly ConfigFlag[]): Command {
  for (const name of new Set<ConfigFlag>(["seed", "dataSet", ...flags])) {
    const { flag, parse, help } = configFlags[name];
    command.addOption(new Option(flag, help).argParser(parse));
  }
  return command
    .option("--data <dir>", "folder with the data sets (then $SHEAF_DATA, then the cache)")
    .option("--config <file>", "configuration, YAML or JSON")
    .option("--set <key=value>", "set a configuration key, for instance training.epochs=5; repeatable", collect)
    .option("--out <dir>", "folder to write to")
    .option("--resume", "go on where an interrupted run in --out stopped")
    .option("--json", "print one JSON value on stdout, nothing else")
    .option("--verbose", "show stack traces");
}

/** Whether a command line says anything of the run itself: a file, a flag or --set. */
export function hasSettings(options: CommonOptions & Readonly<Record<string, unknown>>): boolean {
  const { config, set } = options;
  return config !== undefined || set !== undefined || Object.keys(configFlags).some((name) => options[name] !== undefined);
}

/**
 * Reads the configuration: file, then flags, then --set, later ones winning; defaults fill the rest. With --resume and no file, what is not given is as
 * in the run directory. Throws `config` where nothing is given and no run is there, beside what parsing throws.
 */
export async function readConfig(options: CommonOptions & Readonly<Record<string, unknown>>, defaults: unknown = {}): Promise<RunConfig> {
  const { applyAssignments, mergeConfig, withValue } = await import("../run/assignments.ts");
  const { parseConfig } = await import("../run/config.ts");
  let value: unknown = defaults;
  let where = "the configuration";
  if (options.resume && options.out !== undefined && options.config === undefined) {
    const { readSavedConfig } = await import("../run/savedConfig.ts");
    const saved = await readSavedConfig(options.out);
    if (!saved && !hasSettings(options) && Object.keys(defaults as object).length === 0) {
      throw new SheafError(
        "config",
        `${options.out} holds no run to go on with; give another --out, or the settings of a run to begin there.`,
      );
    }
    value = mergeConfig(value, saved?.settings ?? {});
  }
  if (options.config !== undefined) {
    where = options.config;
    const { parse: parseYaml } = await import("yaml");
    const text = new TextDecoder().decode(await readFileChecked(options.config, "configuration"));
    let parsed: unknown;
    try {
      parsed = parseYaml(text) ?? {};
    } catch (cause) {
      const reason = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]?.replace(/[:.]?$/, ";");
      throw new SheafError("config", `${options.config} is not readable YAML or JSON: ${reason} correct it and run again.`, { cause });
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
      throw new SheafError("config", `${options.config} must hold keys and values such as "seed: 1", got ${JSON.stringify(parsed)}.`);
    }
    value = mergeConfig(value, parsed);
  }
  for (const [name, { key }] of Object.entries(configFlags)) {
    if (options[name] !== undefined) value = withValue(value, key.split("."), options[name]);
  }
  return parseConfig(applyAssignments(value, options.set ?? []), where);
}

export const terminalOf = (options: CommonOptions): Terminal => openTerminal(options.json === true);
