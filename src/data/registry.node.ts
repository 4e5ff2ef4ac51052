/** Names that the user gave to data of their own (`sheaf data add`): one JSON file in the cache folder. Holds paths and settings, never samples. */
import { rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { z } from "zod";
import { SheafError } from "../util/errors.ts";
import { readFileChecked, storageError, writeFileAtomic } from "../util/files.node.ts";
import { datasetNames } from "./catalog.ts";
import { cacheFolder, type Environment } from "./find.node.ts";
import type { Preparation } from "./load.node.ts";

/** A named data set of the user's own. */
export interface Registered {
  /** Absolute. */
  readonly path: string;
  /** How its samples are prepared, where that differs from the defaults. */
  readonly preparation: Partial<Preparation>;
  /** The file of its prepared samples in the cache folder; a set in a module has none. */
  readonly records?: string;
}

const format = "sheaf-datasets/1";
const positive = z.number().positive();
const count = z.number().int().positive();

const featuresSchema = z.strictObject({
  type: z.enum(["logMel", "mfcc"]),
  sampleRate: count,
  windowMs: positive,
  hopMs: positive,
  fftSize: count,
  melBands: count,
  minHz: z.number().nonnegative(),
  maxHz: positive,
  coefficients: count,
  logOffset: positive,
});

const preparationSchema = z.strictObject({
  imageSize: z.exactOptional(z.strictObject({ height: count, width: count, channels: z.union([z.literal(1), z.literal(3)]) })),
  resize: z.exactOptional(z.enum(["cover", "contain", "stretch"])),
  clipMs: z.exactOptional(positive),
  features: z.exactOptional(featuresSchema),
  testShare: z.exactOptional(z.number().gt(0).lt(1)),
  skipBadFiles: z.exactOptional(z.boolean()),
  words: z.exactOptional(z.array(z.string())),
  silence: z.exactOptional(z.boolean()),
});

const fileSchema = z.strictObject({
  format: z.literal(format),
  sets: z.record(
    z.string(),
    z.strictObject({ path: z.string().min(1), preparation: preparationSchema, records: z.exactOptional(z.string()) }),
  ),
});

/** Where the names are kept. */
export function registryFile(env?: Environment): string {
  return join(cacheFolder(env), "datasets.json");
}

const legal = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/** All names with what they stand for; empty when nothing was ever added. Throws `data`, saying what to do, when the file is damaged. */
export async function registeredSets(env?: Environment): Promise<ReadonlyMap<string, Registered>> {
  const path = registryFile(env);
  let text: string;
  try {
    text = new TextDecoder().decode(await readFileChecked(path, "the list of added data sets"));
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code === "ENOENT") return new Map();
    throw error;
  }
  const damaged = (reason: string, cause: unknown): SheafError =>
    new SheafError(
      "data",
      `The list of added data sets ${path} is damaged (${reason}); delete it and add your data sets again with sheaf data add.`,
      { cause },
    );
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw damaged(
      `it is no JSON: expected ${format}, got ${text.length} characters that begin with ${JSON.stringify(text.slice(0, 20))}`,
      cause,
    );
  }
  const result = fileSchema.safeParse(parsed);
  if (result.success) return new Map(Object.entries(result.data.sets));
  const issue = result.error.issues[0];
  throw damaged(`at ${issue?.path.join(".") || "the top level"}: ${issue?.message}`, result.error);
}

/**
 * What a name that was added stands for; undefined when there is none of that name.
 * Throws `data` when the list is damaged and the name could be in it.
 */
export async function registered(name: string, env?: Environment): Promise<Registered | undefined> {
  return legal.test(name) ? (await registeredSets(env)).get(name) : undefined;
}

async function write(sets: ReadonlyMap<string, Registered>, env?: Environment): Promise<void> {
  const sorted = [...sets].sort(([a], [b]) => (a < b ? -1 : 1));
  await writeFileAtomic(registryFile(env), `${JSON.stringify({ format, sets: Object.fromEntries(sorted) }, null, 2)}\n`);
}

/**
 * Checks a name for data of the user's own.
 * Throws `usage` for one that is a name of the catalog, or could be taken for a path.
 */
export function checkOwnName(name: string): void {
  if (!legal.test(name)) {
    throw new SheafError("usage", `A data set's name must be letters, digits, _ and -, got ${JSON.stringify(name)}; choose such a name.`);
  }
  if (name === "auto" || datasetNames.some((known) => known === name)) {
    throw new SheafError(
      "usage",
      `"${name}" is a name of Sheaf's own (${datasetNames.join(", ")}, auto); choose another one for your data.`,
    );
  }
}

/** Remembers a name, in place of what it stood for before. Throws as `checkOwnName`, `data` when the list is damaged, and `storage`. */
export async function register(name: string, entry: Registered, env?: Environment): Promise<void> {
  checkOwnName(name);
  await write(new Map([...(await registeredSets(env)), [name, entry]]), env);
}

/**
 * Deletes the prepared samples of a forgotten set, unless another name needs them; gives the paths of what was deleted. Only files of the
 * cache folder are touched. Throws `data` when the list is damaged, `storage` when a file cannot be deleted.
 */
export async function deletePrepared({ records }: Registered, env?: Environment): Promise<readonly string[]> {
  if (records === undefined || dirname(records) !== join(cacheFolder(env), "prepared")) return [];
  if ([...(await registeredSets(env)).values()].some((other) => other.records === records)) return [];
  const description = join(dirname(records), `${basename(records, extname(records))}.json`);
  const deleted: string[] = [];
  // Without its description a file of records counts as absent: that goes first.
  for (const path of [description, records]) {
    try {
      await rm(path);
      deleted.push(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw storageError(error, path);
    }
  }
  return deleted;
}

/** Forgets a name and says what it stood for. Throws `config`, listing the names there are, when it was never added. */
export async function unregister(name: string, env?: Environment): Promise<Registered> {
  const sets = new Map(await registeredSets(env));
  const entry = sets.get(name);
  if (!entry) {
    const known = sets.size > 0 ? `those added are ${[...sets.keys()].join(", ")}` : "none was added so far";
    throw new SheafError("config", `No data set named "${name}" was added; ${known}.`);
  }
  sets.delete(name);
  await write(sets, env);
  return entry;
}
