/** The data set of a configuration: `auto` settled, looked up by name, path or module, downloaded when absent, cut to the asked size. */
import { existsSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { type DatasetInfo, type DatasetName, datasetCatalog, datasetNames } from "../data/catalog.ts";
import { type Dataset, type DatasetSplits, splitOff, subset } from "../data/dataset.ts";
import type { DownloadProgress } from "../data/download.node.ts";
import { findDataset } from "../data/find.node.ts";
import {
  type LoadedSplits,
  type LoadOptions,
  loadDataset,
  loadOwnData,
  type Preparation,
  type PrepareProgress,
} from "../data/load.node.ts";
import { loadDatasetModule } from "../data/modules.node.ts";
import { registered } from "../data/registry.node.ts";
import type { AudioInput } from "../features/features.ts";
import { SheafError } from "../util/errors.ts";
import type { RunConfig } from "./config.ts";

/** What a deployable model of an audio set needs to take waves; nothing for other sets. */
export function audioInputOf({ audio }: Dataset): { readonly audio?: AudioInput } {
  return audio ? { audio: { features: audio.features, samples: audio.clipSamples } } : {};
}

/**
 * What a model says of its data: the name, which of a folder is its last part and not where it lies, and how images of another shape were brought to
 * its size where not in the usual way.
 */
export function dataMetadata({ data: { resize } }: RunConfig, { name }: Pick<Dataset, "name">): Readonly<Record<string, string>> {
  return { dataSet: name, ...(resize === "cover" ? {} : { resize }) };
}

/** Told how loading gets on. */
export interface DataProgress {
  /** Bytes of a data set's archive as they arrive. */
  readonly download?: (name: string, progress: DownloadProgress) => void;
  /** Files of the user's own data, or clips, as they are decoded for the first time. */
  readonly prepare?: (name: string, progress: PrepareProgress) => void;
}

export interface LoadedData extends DatasetSplits {
  /** The configured name with `auto` settled. */
  readonly configName: string;
  /** What `test` is: with `validation`, the set's test samples were not looked at. */
  readonly evaluatedOn: "test" | "validation";
  /** What a reader of figures measured on it must know. */
  readonly note: string | undefined;
}

/** `auto` is CIFAR-10 when its files are at hand, and glyphs otherwise. */
export async function settleDataName(name: string, dir: string | undefined): Promise<string> {
  if (name !== "auto") return name;
  return (await findDataset("cifar10", { dir })) ? "cifar10" : "glyphs";
}

const isCatalogName = (name: string): name is DatasetName => Object.hasOwn(datasetCatalog, name);
const moduleEndings: readonly string[] = [".mjs", ".js", ".ts"];

function noteOf(name: string, splits: DatasetSplits): string | undefined {
  const info: DatasetInfo | undefined = isCatalogName(name) ? datasetCatalog[name] : undefined;
  const { fullCount } = info ?? {};
  if (!info?.archive || !fullCount) return undefined;
  const parts = (["train", "test"] as const).flatMap((part) => {
    const used = splits[part].labels.length;
    const full = fullCount[part];
    return used === full
      ? []
      : [`${used.toLocaleString("en")} of ${full.toLocaleString("en")} ${part === "train" ? "training" : "test"} samples`];
  });
  return parts.length > 0 ? `a subset (${parts.join(", ")}); not comparable with figures for the full set` : undefined;
}

/** How a configuration wants samples prepared. */
export function preparationOf({ data }: RunConfig): Preparation {
  const { imageSize, resize, clipMs, features, testShare, skipBadFiles, words, silence } = data;
  return { imageSize, resize, clipMs, features, testShare, skipBadFiles, words, silence };
}

/** A set cut to the asked numbers of samples. */
function cutTo(splits: DatasetSplits, { trainCount, testCount, seed = 0 }: LoadOptions): DatasetSplits {
  return {
    ...splits,
    train: trainCount === undefined ? splits.train : subset(splits.train, trainCount, seed),
    test: testCount === undefined ? splits.test : subset(splits.test, testCount, seed),
  };
}

/** A module, or data of the user's own. */
async function loadPath(name: string, path: string, options: LoadOptions): Promise<LoadedSplits> {
  if (moduleEndings.includes(extname(path))) return cutTo(await loadDatasetModule(path, options), options);
  return loadOwnData(name, path, options);
}

async function load(name: string, options: LoadOptions): Promise<LoadedSplits> {
  if (isCatalogName(name)) return loadDataset(name, options);
  const known = await registered(name, options.env);
  if (known) {
    const preparation = { ...(options.preparation as Preparation), ...known.preparation };
    return loadPath(name, known.path, { ...options, preparation });
  }
  const path = resolve(name);
  if (!existsSync(path)) {
    throw new SheafError(
      "config",
      `There is no data set named "${name}" and no file or folder of that path; choose one of ${datasetNames.join(", ")}, add yours with sheaf data add, or give its path.`,
    );
  }
  return loadPath(basename(path), path, options);
}

/** With `validation`, the part that is evaluated is the set's own validation part, or one split off its training part. */
function evaluatedPart(splits: DatasetSplits, { evaluateOn, validationShare }: RunConfig["data"]): DatasetSplits {
  if (evaluateOn === "test") return splits;
  if (splits.validation) return { train: splits.train, test: splits.validation };
  const { train, validation } = splitOff(splits.train, validationShare, 0);
  return { train, test: validation };
}

/**
 * Loads the configured data set.
 * Throws `config` on an unknown name, `data` on damaged files, `unavailable` when it must be downloaded and cannot be.
 */
export async function loadData(
  config: RunConfig,
  options: { readonly data?: string },
  progress: DataProgress = {},
  signal?: AbortSignal,
): Promise<LoadedData> {
  const name = await settleDataName(config.data.name, options.data);
  const splits = await load(name, {
    dir: options.data,
    // The set itself does not change with the seed of the run, so that runs with different seeds are tested on the same samples.
    seed: 0,
    trainCount: config.data.trainCount,
    testCount: config.data.testCount,
    preparation: preparationOf(config),
    signal,
    onProgress: (event) => progress.download?.(name, event),
    onPrepare: (event) => progress.prepare?.(name, event),
  });
  const { evaluateOn } = config.data;
  const skipped = splits.skipped?.length ?? 0;
  const [firstSkipped] = splits.skipped ?? [];
  const notes = [
    noteOf(name, splits),
    ...(splits.notes ?? []).map((text) => text.replace(/\.$/, "")),
    firstSkipped && `${skipped} ${skipped === 1 ? "sample" : "samples"} left out, the first: ${firstSkipped.reason.replace(/\.$/, "")}`,
    evaluateOn === "validation" ? "evaluated on validation samples; the test samples were not looked at" : undefined,
  ];
  const note = notes.filter((part) => part !== undefined).join("; ");
  return { ...evaluatedPart(splits, config.data), configName: name, evaluatedOn: evaluateOn, note: note || undefined };
}
