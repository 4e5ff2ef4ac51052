/** The configuration that a run directory holds, for what goes on with a run or takes something out of it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import { runFiles } from "./directory.ts";

/** A directory's configuration as one would write it. */
export interface SavedConfig {
  /** Which command made the directory: `run` (or `quickstart`), `train`, or `baseline`. */
  readonly kind: string;
  /** Keys and values, as in a configuration file. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The file that it stands in. */
  readonly file: string;
}

/** A single training keeps the schedule as the engine reads it, in which one cycle calls its warm-up a rise. */
function writtenSchedule(training: unknown): unknown {
  const { schedule, ...rest } = training as { readonly schedule: Readonly<Record<string, unknown>> };
  const { rise, ...others } = schedule;
  return { ...rest, schedule: rise === undefined ? others : { ...others, warmup: rise } };
}

/** Reads `config.resolved.json` of the run directory `path`; undefined where there is none. Throws `corrupt` when it is damaged. */
export async function readSavedConfig(path: string): Promise<SavedConfig | undefined> {
  const file = join(path, runFiles.config);
  if (!existsSync(file)) return undefined;
  const text = new TextDecoder().decode(await readFileChecked(file, "run's configuration"));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SheafError("corrupt", `${file} is not JSON; the run's configuration cannot be known without it.`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new SheafError("corrupt", `${file} holds no keys and values; the run's configuration cannot be known without it.`);
  const { dataSha256: _, kind = "run", method: __, ...settings } = value as Readonly<Record<string, unknown>>;
  const single = kind === "train" && typeof settings.training === "object" && settings.training !== null;
  return { kind: String(kind), settings: single ? { ...settings, training: writtenSchedule(settings.training) } : settings, file };
}
