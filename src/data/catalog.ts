/** The data sets Sheaf knows, by name, as plain data: what each is and, for downloads, where its files come from. */
import { SheafError } from "../util/errors.ts";
import { cifarShape } from "./cifar.ts";
import type { SampleShape } from "./dataset.ts";
import { glyphShape } from "./glyphs.ts";

/** Names for `--data-set`. */
export type DatasetName = "cifar10" | "cifar100" | "glyphs" | "speech-commands" | "speech-commands-12";

/** An archive (gzipped tar) of data files. */
export interface ArchiveSource {
  readonly url: string;
  /** Checksum of the archive, hexadecimal, as published; guards against damage in transfer. */
  readonly checksum: { readonly type: "md5" | "sha256"; readonly hex: string };
  /** The archive's folder, which is also the name that the set is looked up by. */
  readonly folder: string;
  /** The files taken from that folder, and needed in it. */
  readonly files: readonly string[];
  /** Files of these endings are taken too, from folders within it; everything else in the archive is ignored. */
  readonly endings?: readonly string[];
  /** The archive's files lie at its top, not in a folder. */
  readonly flat?: boolean;
}

export interface DatasetInfo {
  readonly title: string;
  readonly classCount: number;
  readonly shape: SampleShape;
  /** Samples of the full set; of a generated set, how many are made when nothing else is asked for. Absent where it depends on how the set is used. */
  readonly fullCount?: { readonly train: number; readonly test: number };
  /** The reference to cite; a generated set has a description instead. */
  readonly cite: string;
  /** Absent for a generated set. */
  readonly archive?: ArchiveSource;
  /** Words that are classes of their own; the others are "unknown", and "silence" is added (the 12-class protocol of Warden 2018). All words when absent. */
  readonly words?: readonly string[];
}

/** A total table: a new name is a compile error until it has its entry. */
export interface DatasetCatalog extends Readonly<Record<DatasetName, DatasetInfo>> {
  readonly cifar10: DatasetInfo & { readonly archive: ArchiveSource };
  readonly cifar100: DatasetInfo & { readonly archive: ArchiveSource };
  readonly "speech-commands": DatasetInfo & { readonly archive: ArchiveSource };
  readonly "speech-commands-12": DatasetInfo & { readonly archive: ArchiveSource };
  readonly glyphs: DatasetInfo & { readonly fullCount: { readonly train: number; readonly test: number } };
}

const krizhevsky = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, University of Toronto, 2009";

const cifar10Archive: ArchiveSource = {
  url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
  checksum: { type: "md5", hex: "c32a1d4ab5d03f1284b67883e8d87530" },
  folder: "cifar-10-batches-bin",
  files: [...[1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`), "test_batch.bin", "batches.meta.txt"],
};

const cifar100Archive: ArchiveSource = {
  url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
  checksum: { type: "md5", hex: "03b5dce01913d631647c71ecec9e9cb8" },
  folder: "cifar-100-binary",
  files: ["train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"],
};

const warden = "P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209, 2018; CC BY 4.0";

const speechCommandsArchive: ArchiveSource = {
  url: "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
  checksum: { type: "sha256", hex: "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58" },
  folder: "speech_commands",
  files: ["validation_list.txt", "testing_list.txt"],
  endings: [".wav"],
  flat: true,
};

/** 49 frames of 40 log-mel bands: one second in windows of 40 ms every 20 ms. */
const keywordShape: SampleShape = { channels: 1, height: 49, width: 40 };

/** Each set's `archive` is present exactly when it is read from files. */
export const datasetCatalog: DatasetCatalog = {
  cifar10: {
    title: "CIFAR-10",
    classCount: 10,
    shape: cifarShape,
    fullCount: { train: 50_000, test: 10_000 },
    cite: krizhevsky,
    archive: cifar10Archive,
  },
  cifar100: {
    title: "CIFAR-100",
    classCount: 100,
    shape: cifarShape,
    fullCount: { train: 50_000, test: 10_000 },
    cite: krizhevsky,
    archive: cifar100Archive,
  },
  "speech-commands": {
    title: "Speech Commands, every word a class",
    classCount: 35,
    shape: keywordShape,
    fullCount: { train: 84_843, test: 11_005 },
    cite: warden,
    archive: speechCommandsArchive,
  },
  "speech-commands-12": {
    title: "Speech Commands, ten words, unknown and silence",
    classCount: 12,
    shape: keywordShape,
    cite: warden,
    archive: speechCommandsArchive,
    words: ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"],
  },
  glyphs: {
    title: "Glyphs",
    classCount: 10,
    shape: glyphShape,
    fullCount: { train: 10_000, test: 2_000 },
    cite: "Sheaf's embedded set of ten drawn symbols, generated from a seed",
  },
};

/** All names, in the order of the catalog. */
export const datasetNames: readonly DatasetName[] = Object.keys(datasetCatalog) as DatasetName[];

/** The name itself when it is in the catalog. Throws `config`, listing the names there are, when it is not. */
export function datasetName(name: string): DatasetName {
  const known = datasetNames.find((candidate) => candidate === name);
  if (known === undefined) {
    throw new SheafError("config", `There is no data set named "${name}"; choose one of ${datasetNames.join(", ")}.`);
  }
  return known;
}
