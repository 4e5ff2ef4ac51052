/** Loads a data set by name or path: finds or downloads its files, prepares or draws it, and puts its parts together. */
import { createHash } from "node:crypto";
import type { AudioFeatures } from "../features/features.ts";
import { defaultAudioFeatures } from "../features/features.ts";
import { SheafError } from "../util/errors.ts";
import type { ArchiveSource, DatasetInfo, DatasetName } from "./catalog.ts";
import { datasetCatalog, datasetName } from "./catalog.ts";
import type { CifarName } from "./cifar.node.ts";
import { readCifarFolder } from "./cifar.node.ts";
import type { CoarseLabels, Dataset, DatasetSplits } from "./dataset.ts";
import { channelStatistics, sampleSize, subset } from "./dataset.ts";
import type { DownloadProgress } from "./download.node.ts";
import { downloadArchive } from "./download.node.ts";
import type { FindOptions } from "./find.node.ts";
import { cacheFolder, findDataset, placesToLook } from "./find.node.ts";
import { drawGlyphs, glyphClassNames, glyphVersion } from "./glyphs.ts";
import { type PreparedSplits, prepareSource } from "./prepare.node.ts";
import { openSource } from "./sources/openSource.node.ts";
import type { SampleSource, SourceOptions } from "./sources/source.ts";
import { openSpeechCommands } from "./sources/speechCommands.node.ts";

/** How samples that are not stored as a network takes them are brought into its form. */
export interface Preparation {
  /** Size and channels that images are brought to: 3 is RGB, 1 grey. */
  readonly imageSize: { readonly height: number; readonly width: number; readonly channels: 1 | 3 };
  /** How an image of another shape fits: filled and cut, whole with black borders, or distorted. */
  readonly resize: "cover" | "contain" | "stretch";
  /** Length of a clip; shorter ones are padded with zeros, longer ones cut. */
  readonly clipMs: number;
  readonly features: AudioFeatures;
  /** Share of the samples that become the test part of a set without one. */
  readonly testShare: number;
  /** Leaves files out that cannot be read, and says so, instead of failing. */
  readonly skipBadFiles: boolean;
  /** Words of Speech Commands that are classes of their own; all others are "unknown". */
  readonly words?: readonly string[] | undefined;
  /** Adds a class "silence" of background noise to Speech Commands. */
  readonly silence?: boolean | undefined;
}

export const defaultPreparation: Preparation = {
  imageSize: { height: 32, width: 32, channels: 3 },
  resize: "cover",
  clipMs: 1000,
  features: defaultAudioFeatures,
  testShare: 0.2,
  skipBadFiles: false,
};

/** Samples decoded so far. */
export interface PrepareProgress {
  readonly done: number;
  readonly total: number;
  readonly skipped: number;
}

export interface LoadOptions extends FindOptions {
  readonly preparation?: Preparation | undefined;
  readonly onPrepare?: ((progress: PrepareProgress) => void) | undefined;
  /** Seed of a generated set and of the choice of a subset; 0 unless given. */
  readonly seed?: number | undefined;
  /** Use only so many training samples (a seeded, stratified subset); of a generated set, make so many. All, or the catalog's number, unless given. */
  readonly trainCount?: number | undefined;
  /** The same for the test set. */
  readonly testCount?: number | undefined;
  /** Whether a set that is not at hand may be downloaded into the cache folder; true unless given. */
  readonly download?: boolean | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A mirror of the archive to download instead of the official one. */
  readonly archive?: ArchiveSource | undefined;
}

interface Content {
  readonly labels: Uint16Array;
  readonly pixels: Uint8Array;
  readonly coarse?: CoarseLabels;
}

/** SHA-256 of the labels as little-endian uint16, then the pixels. */
function contentHash({ labels, pixels }: Content): string {
  const bytes = new Uint8Array(labels.length * 2);
  const view = new DataView(bytes.buffer);
  labels.forEach((label, i) => {
    view.setUint16(2 * i, label, true);
  });
  return createHash("sha256").update(bytes).update(pixels).digest("hex");
}

/** Statistics of a set's own samples among the `pixels` of its store. */
function statisticsOf({ records, shape }: Dataset, pixels: Uint8Array): ReturnType<typeof channelStatistics> {
  if (!records) return channelStatistics(pixels, shape);
  const size = sampleSize(shape);
  const own = new Uint8Array(records.length * size);
  records.forEach((record, i) => {
    own.set(pixels.subarray(record * size, (record + 1) * size), i * size);
  });
  return channelStatistics(own, shape);
}

/** Both splits as data sets, cut down to the wanted numbers, with the statistics of the training split that results. */
function assemble(
  name: DatasetName,
  classNames: readonly string[],
  train: { readonly content: Content; readonly source: string },
  test: { readonly content: Content; readonly source: string },
  { trainCount, testCount, seed = 0 }: LoadOptions,
): DatasetSplits {
  const { shape } = datasetCatalog[name];
  const make = ({ content, source }: typeof train, count: number | undefined): Dataset => {
    const provenance = { source, sha256: contentHash(content) };
    const { pixels, ...rest } = content;
    const store = { type: "memory", values: pixels } as const;
    const whole: Dataset = { name, classNames, shape, ...rest, store, mean: [], std: [], provenance };
    return count === undefined ? whole : subset(whole, count, seed);
  };
  const trainSet = make(train, trainCount);
  const statistics = statisticsOf(trainSet, train.content.pixels);
  return { train: { ...trainSet, ...statistics }, test: { ...make(test, testCount), ...statistics } };
}

/** The folder with a set's files, downloaded when it is nowhere and that is allowed. */
async function folderOf(name: Exclude<DatasetName, "glyphs">, options: LoadOptions): Promise<string> {
  const { title } = datasetCatalog[name];
  const archive = options.archive ?? datasetCatalog[name].archive;
  const found = await findDataset(name, options);
  if (found && "folder" in found) return found.folder;
  if (options.download === false) {
    const places = placesToLook(options).map((place) => place.path);
    throw new SheafError(
      "data",
      `${title} (folder ${archive.folder}) was not found in ${places.join(" or ")}, and downloading is off; ` +
        `put the folder into one of these places, name its place with --data or SHEAF_DATA, or use --data-set glyphs, which needs no files.`,
    );
  }
  return downloadArchive(archive, cacheFolder(options.env), options);
}

async function loadCifar(name: CifarName, options: LoadOptions): Promise<DatasetSplits> {
  const { classNames, train, test } = await readCifarFolder(name, await folderOf(name, options));
  return assemble(
    name,
    classNames,
    { content: train.records, source: train.source },
    { content: test.records, source: test.source },
    options,
  );
}

/** Decodes a source's samples once and keeps them in the cache folder. */
async function prepare(name: string, source: SampleSource, options: LoadOptions): Promise<PreparedSplits> {
  const { preparation = defaultPreparation, seed = 0, trainCount, testCount, signal, onPrepare, env } = options;
  const { words: _, silence: __, ...settings } = preparation;
  try {
    return await prepareSource(name, source, {
      ...settings,
      seed,
      cacheDir: cacheFolder(env),
      ...(trainCount === undefined ? {} : { trainCount }),
      ...(testCount === undefined ? {} : { testCount }),
      ...(signal ? { signal } : {}),
      ...(onPrepare ? { onProgress: onPrepare } : {}),
    });
  } finally {
    await source.close?.();
  }
}

const sourceOptions = ({ preparation, signal }: LoadOptions, info?: DatasetInfo): SourceOptions => {
  const words = preparation?.words ?? info?.words;
  const silence = preparation?.silence ?? info?.words !== undefined;
  return { silence, ...(words ? { words } : {}), ...(signal ? { signal } : {}) };
};

async function loadSpeechCommands(name: "speech-commands" | "speech-commands-12", options: LoadOptions): Promise<PreparedSplits> {
  const source = await openSpeechCommands(await folderOf(name, options), sourceOptions(options, datasetCatalog[name]));
  return prepare(name, source, options);
}

/**
 * Loads the user's own data: a folder of images or WAVs per class, a CSV, an .npz, a folder of .npy or Parquet files.
 * Throws `data`, naming the path, when there is nothing that can be read.
 */
export async function loadOwnData(name: string, path: string, options: LoadOptions = {}): Promise<PreparedSplits> {
  return prepare(name, await openSource(path, sourceOptions(options)), options);
}

async function loadGlyphs(options: LoadOptions): Promise<DatasetSplits> {
  const { fullCount } = datasetCatalog.glyphs;
  const { seed = 0, trainCount = fullCount.train, testCount = fullCount.test } = options;
  const draw = (split: "train" | "test", count: number): { content: Content; source: string } => {
    if (!Number.isInteger(count) || count < 1) {
      throw new SheafError("config", `The ${split} part of glyphs must have a whole number of samples, 1 or more, got ${count}.`);
    }
    return {
      content: drawGlyphs(count, { seed, split }),
      source: `Glyphs, generated (drawing version ${glyphVersion}, seed ${seed}), ${split} split: ${count} samples`,
    };
  };
  return assemble("glyphs", glyphClassNames, draw("train", trainCount), draw("test", testCount), {});
}

/** A loaded set; what had to be prepared says what happened on the way. */
export type LoadedSplits = DatasetSplits & Partial<Pick<PreparedSplits, "skipped" | "notes">>;

const loaders: { readonly [N in DatasetName]: (options: LoadOptions) => Promise<LoadedSplits> } = {
  cifar10: (options) => loadCifar("cifar10", options),
  cifar100: (options) => loadCifar("cifar100", options),
  "speech-commands": (options) => loadSpeechCommands("speech-commands", options),
  "speech-commands-12": (options) => loadSpeechCommands("speech-commands-12", options),
  glyphs: loadGlyphs,
};

/**
 * Loads a data set of the catalog over shared memory. Files are looked up as `findDataset` says, and downloaded when they are nowhere.
 * Throws `config` for an unknown name or too large a count, `data` for missing or damaged files, `unavailable` when a download fails.
 * @example const { train, test } = await loadDataset("cifar10", { dir: "data", trainCount: 5000 });
 */
export async function loadDataset(name: string, options: LoadOptions = {}): Promise<LoadedSplits> {
  return loaders[datasetName(name)](options);
}
