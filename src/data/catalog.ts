/** The data sets Sheaf knows, by name, as plain data: what each is and, for downloads, where its files come from. */
import { SheafError } from "../util/errors.ts";
import { cifarShape } from "./cifar.ts";
import type { SampleShape } from "./dataset.ts";
import { glyphShape } from "./glyphs.ts";

/** Names for `--data-set`. */
export type DatasetName = "cifar10" | "cifar100" | "glyphs";

/** An archive (gzipped tar) with one folder of data files. */
export interface ArchiveSource {
  readonly url: string;
  /** MD5 of the archive, hexadecimal, as published beside it; guards against damage in transfer. */
  readonly md5: string;
  /** The archive's folder, which is also the name that the set is looked up by. */
  readonly folder: string;
  /** The files taken from that folder, and needed in it; everything else in the archive is ignored. */
  readonly files: readonly string[];
}

export interface DatasetInfo {
  readonly title: string;
  readonly classCount: number;
  readonly shape: SampleShape;
  /** Samples of the full set; of a generated set, how many are made when nothing else is asked for. */
  readonly fullCount: { readonly train: number; readonly test: number };
  /** The reference to cite; a generated set has a description instead. */
  readonly cite: string;
  /** Absent for a generated set. */
  readonly archive?: ArchiveSource;
}

/** A total table: a new name is a compile error until it has its entry. */
export interface DatasetCatalog extends Readonly<Record<DatasetName, DatasetInfo>> {
  readonly cifar10: DatasetInfo & { readonly archive: ArchiveSource };
  readonly cifar100: DatasetInfo & { readonly archive: ArchiveSource };
}

const krizhevsky = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, University of Toronto, 2009";

const cifar10Archive: ArchiveSource = {
  url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
  md5: "c32a1d4ab5d03f1284b67883e8d87530",
  folder: "cifar-10-batches-bin",
  files: [...[1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`), "test_batch.bin", "batches.meta.txt"],
};

const cifar100Archive: ArchiveSource = {
  url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
  md5: "03b5dce01913d631647c71ecec9e9cb8",
  folder: "cifar-100-binary",
  files: ["train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"],
};

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
