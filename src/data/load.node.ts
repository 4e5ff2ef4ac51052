/** Loads a data set by name: finds or downloads its files, or draws it, and puts training and test set together. */
import { createHash } from "node:crypto";
import { SheafError } from "../util/errors.ts";
import type { ArchiveSource, DatasetInfo, DatasetName } from "./catalog.ts";
import { datasetCatalog, datasetName } from "./catalog.ts";
import type { CifarName } from "./cifar.node.ts";
import { readCifarFolder } from "./cifar.node.ts";
import type { CoarseLabels, Dataset, DatasetSplits } from "./dataset.ts";
import { channelStatistics, subset } from "./dataset.ts";
import type { DownloadProgress } from "./download.node.ts";
import { downloadArchive } from "./download.node.ts";
import type { FindOptions } from "./find.node.ts";
import { cacheFolder, findDataset, placesToLook } from "./find.node.ts";
import { drawGlyphs, glyphClassNames, glyphVersion } from "./glyphs.ts";

export interface LoadOptions extends FindOptions {
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
    const whole: Dataset = { name, classNames, shape, ...content, mean: [], std: [], provenance };
    return count === undefined ? whole : subset(whole, count, seed);
  };
  const trainSet = make(train, trainCount);
  const statistics = channelStatistics(trainSet.pixels, shape);
  return { train: { ...trainSet, ...statistics }, test: { ...make(test, testCount), ...statistics } };
}

async function loadCifar(name: CifarName, options: LoadOptions): Promise<DatasetSplits> {
  const info: DatasetInfo = datasetCatalog[name];
  const archive = options.archive ?? datasetCatalog[name].archive;
  const found = await findDataset(name, options);
  let folder = found && "folder" in found ? found.folder : undefined;
  if (folder === undefined && options.download === false) {
    const places = placesToLook(options).map((place) => place.path);
    throw new SheafError(
      "data",
      `${info.title} (folder ${archive.folder}) was not found in ${places.join(" or ")}, and downloading is off; ` +
        `put the folder into one of these places, name its place with --data or SHEAF_DATA, or use --data-set glyphs, which needs no files.`,
    );
  }
  folder ??= await downloadArchive(archive, cacheFolder(options.env), options);
  const { classNames, train, test } = await readCifarFolder(name, folder);
  return assemble(
    name,
    classNames,
    { content: train.records, source: train.source },
    { content: test.records, source: test.source },
    options,
  );
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

const loaders: { readonly [N in DatasetName]: (options: LoadOptions) => Promise<DatasetSplits> } = {
  cifar10: (options) => loadCifar("cifar10", options),
  cifar100: (options) => loadCifar("cifar100", options),
  glyphs: loadGlyphs,
};

/**
 * Loads a data set of the catalog over shared memory. Files are looked up as `findDataset` says, and downloaded when they are nowhere.
 * Throws `config` for an unknown name or too large a count, `data` for missing or damaged files, `unavailable` when a download fails.
 * @example const { train, test } = await loadDataset("cifar10", { dir: "data", trainCount: 5000 });
 */
export async function loadDataset(name: string, options: LoadOptions = {}): Promise<DatasetSplits> {
  return loaders[datasetName(name)](options);
}
