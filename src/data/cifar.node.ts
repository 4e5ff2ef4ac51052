/** Reads a folder of CIFAR-10 or CIFAR-100 files into training and test sets, however many records and batches it holds. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SheafError } from "../util/errors.ts";
import type { DatasetInfo } from "./catalog.ts";
import { datasetCatalog } from "./catalog.ts";
import type { CifarClasses, CifarRecords, NamedBytes } from "./cifar.ts";
import { parseCifar, parseClassNames } from "./cifar.ts";
import { listFolder } from "./find.node.ts";

export type CifarName = "cifar10" | "cifar100";

/** One split as read, with a sentence on the files it came from. */
export interface CifarSplit {
  readonly records: CifarRecords;
  readonly source: string;
}

async function readNamed(folder: string, file: string): Promise<NamedBytes> {
  const path = join(folder, file);
  try {
    return { name: path, bytes: await readFile(path) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "is missing" : `cannot be read (${code})`;
    throw new SheafError("data", `${path} ${what}; put the complete folder there, or remove the folder to have it fetched again.`, {
      cause: error,
    });
  }
}

/** The training files in a folder: every data_batch_N.bin in the order of N, or CIFAR-100's one file. */
async function trainFiles(name: CifarName, folder: string): Promise<string[]> {
  if (name === "cifar100") return ["train.bin"];
  const numberOf = (file: string): number => Number(/^data_batch_(\d+)\.bin$/.exec(file)?.[1] ?? Number.NaN);
  const batches = ((await listFolder(folder)) ?? []).filter((file) => numberOf(file) >= 0).sort((a, b) => numberOf(a) - numberOf(b));
  if (batches.length === 0) {
    throw new SheafError("data", `${folder} holds no data_batch_N.bin; expected one or more; put the complete folder there.`);
  }
  return batches;
}

/**
 * Reads the files of a CIFAR folder. Class names and record counts come from the files.
 * Throws `data`, naming the file, when one is missing, cut short, or holds a label out of range.
 */
export async function readCifarFolder(
  name: CifarName,
  folder: string,
): Promise<{ readonly classNames: readonly string[]; readonly train: CifarSplit; readonly test: CifarSplit }> {
  const info: DatasetInfo = datasetCatalog[name];
  const names = async (file: string, count: number): Promise<string[]> => parseClassNames(await readNamed(folder, file), count);
  const fine = await names(name === "cifar10" ? "batches.meta.txt" : "fine_label_names.txt", info.classCount);
  const classes: CifarClasses = name === "cifar10" ? { fine } : { fine, coarse: await names("coarse_label_names.txt", 20) };
  const read = async (files: readonly string[], full: number | undefined): Promise<CifarSplit> => {
    const bytes: NamedBytes[] = [];
    for (const file of files) bytes.push(await readNamed(folder, file));
    const records = parseCifar(bytes, classes);
    const count = records.labels.length;
    // The folder's own place is left out: it would make two machines' reports of one run differ.
    const source = `${info.title}, ${files.join(", ")}: ${count} samples${full === undefined || count === full ? "" : ` (the full set has ${full})`}`;
    return { records, source };
  };
  return {
    classNames: fine,
    train: await read(await trainFiles(name, folder), info.fullCount?.train),
    test: await read([name === "cifar10" ? "test_batch.bin" : "test.bin"], info.fullCount?.test),
  };
}
