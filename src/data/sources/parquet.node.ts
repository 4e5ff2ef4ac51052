/** Parquet as model hubs publish it: images or clips as bytes in a column, labels as numbers or text in another; one file or a folder of parts. */
import { readdir } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { SheafError } from "../../util/errors.ts";
import type { Medium } from "./files.node.ts";
import { byCodeUnits, fileState, fingerprintOf, isHidden, readBytes, readClassNames, statPath, throwIfStopped } from "./files.node.ts";
import { nameLabels, requireTraining, splitOf, splitWords } from "./labels.ts";
import type { ParquetFile } from "./parquetFile.node.ts";
import { openParquetFile } from "./parquetFile.node.ts";
import type { OpenSource, SampleSource, SourceEntry, Split } from "./source.ts";

const sampleColumns: Readonly<Record<string, Medium>> = { image: "image", img: "image", audio: "audio" };
const labelColumns = ["label", "fine_label", "labels"];
const coarseColumn = "coarse_label";

/** Whether a name is that of a Parquet file. */
export function isParquet(name: string): boolean {
  return name.toLowerCase().endsWith(".parquet") && !isHidden(name);
}

/** The part a file belongs to, from its name ("train-00000-of-00001.parquet") or that of its folder. */
function splitOfFile(path: string, isRoot: boolean): Split | undefined {
  const word = /^[a-z]+/i.exec(basename(path))?.[0] ?? "";
  return splitOf(word) ?? (isRoot ? undefined : splitOf(basename(dirname(path))));
}

async function namesIn(folder: string): Promise<{ readonly files: string[]; readonly folders: string[] }> {
  const entries = await readdir(folder, { withFileTypes: true });
  const visible = entries.filter(({ name }) => !isHidden(name)).sort((a, b) => byCodeUnits(a.name, b.name));
  return {
    files: visible.filter((entry) => !entry.isDirectory() && isParquet(entry.name)).map(({ name }) => join(folder, name)),
    folders: visible.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name)),
  };
}

/** Parquet files in a folder and in its folders named like parts. */
async function filesIn(folder: string): Promise<string[]> {
  const { files, folders } = await namesIn(folder);
  const parts = folders.filter((path) => splitOf(basename(path)) !== undefined);
  return [...files, ...(await Promise.all(parts.map(async (part) => (await namesIn(part)).files))).flat()];
}

/**
 * The Parquet files of a data set: in the folder, or else in the one folder below it that has some ("data", or the name of a configuration).
 * Empty when there are none. Throws `data` when several folders have some.
 */
export async function findParquetFiles(root: string): Promise<readonly string[]> {
  const here = await filesIn(root);
  if (here.length > 0) return here;
  const below: string[][] = [];
  for (const folder of (await namesIn(root)).folders) {
    const files = await filesIn(folder);
    if (files.length > 0) below.push(files);
  }
  if (below.length > 1) {
    const folders = below.map(([first = ""]) => relative(root, first).split(/[\\/]/)[0]);
    throw new SheafError(
      "data",
      `${root} holds Parquet files in several folders (${folders.join(", ")}); expected one data set; give the path of one of them.`,
    );
  }
  return below[0] ?? [];
}

/** Which columns hold what. */
interface Columns {
  readonly sample: string;
  readonly medium: Medium;
  /** Whether the column is of {bytes, path} rather than bytes alone. */
  readonly isStruct: boolean;
  readonly label: string;
  readonly hasCoarse: boolean;
}

function columnsOf({ path, columns }: ParquetFile): Columns {
  const got = columns.map(({ name }) => name).join(", ") || "none";
  const sample = columns.find(({ name }) => Object.hasOwn(sampleColumns, name.toLowerCase()));
  if (!sample || (sample.fields.length > 0 && !sample.fields.includes("bytes"))) {
    throw new SheafError(
      "data",
      `${path}: expected a column image, img or audio of encoded bytes, got the columns ${got}; rename the column.`,
    );
  }
  const label = labelColumns.find((name) => columns.some((column) => column.name === name && column.fields.length === 0));
  if (label === undefined) {
    throw new SheafError(
      "data",
      `${path}: expected a column label or fine_label, got the columns ${got}; add it, or leave the file out if its labels are secret.`,
    );
  }
  return {
    sample: sample.name,
    medium: sampleColumns[sample.name.toLowerCase()] as Medium,
    isStruct: sample.fields.length > 0,
    label,
    hasCoarse: columns.some(({ name }) => name === coarseColumn),
  };
}

/** Names of a ClassLabel feature. */
function featureNames(file: ParquetFile, column: string): readonly string[] | undefined {
  const feature = file.features[column];
  const names = typeof feature === "object" && feature !== null && "names" in feature ? feature.names : undefined;
  return Array.isArray(names) && names.every((name) => typeof name === "string") ? names : undefined;
}

async function readLabels(file: ParquetFile, column: string): Promise<(string | number)[]> {
  const values = await file.column(column);
  return values.map((value, row) => {
    if (typeof value === "bigint") return Number(value);
    if (typeof value === "number" || typeof value === "string") return value;
    if (value instanceof Uint8Array) return new TextDecoder().decode(value);
    throw new SheafError(
      "data",
      `${file.path} row ${row}: expected a number or a name in the column ${column}, got ${value === null ? "nothing" : typeof value}; correct the label.`,
    );
  });
}

/** Encoded bytes of a row; where the row has a path alone, those of that file. */
async function readSample(file: ParquetFile, { sample, isStruct }: Columns, row: number): Promise<Uint8Array> {
  const value = await file.value(sample, row);
  const { bytes, path } = (isStruct ? (value ?? {}) : { bytes: value }) as { bytes?: unknown; path?: unknown };
  if (bytes instanceof Uint8Array) return bytes;
  if (path !== undefined && path !== null && path !== "") {
    const name = path instanceof Uint8Array ? new TextDecoder().decode(path) : String(path);
    return readBytes(join(file.folder, name));
  }
  throw new SheafError(
    "data",
    `${file.path} row ${row}: expected encoded bytes in the column ${sample}, got nothing; correct or remove the row.`,
  );
}

/** Throws `data` unless all files have the columns of the first, and name the classes alike. */
function requireAlike(files: readonly ParquetFile[], columns: readonly Columns[]): void {
  files.forEach((file, i) => {
    const first = JSON.stringify([columns[0], featureNames(files[0] as ParquetFile, (columns[0] as Columns).label)]);
    if (JSON.stringify([columns[i], featureNames(file, (columns[i] as Columns).label)]) !== first) {
      throw new SheafError(
        "data",
        `${file.path} has other columns or class names than ${files[0]?.path}; expected parts of one data set; put one of them elsewhere.`,
      );
    }
  });
}

async function listFiles(
  title: string,
  files: readonly ParquetFile[],
  splits: readonly (Split | undefined)[],
  folder: string,
): Promise<Omit<SampleSource, "fingerprint">> {
  const columns = files.map(columnsOf);
  requireAlike(files, columns);
  const { label, hasCoarse, medium } = columns[0] as Columns;
  const values: (string | number)[] = [];
  const coarseValues: (string | number)[] = [];
  const places: { readonly file: number; readonly row: number }[] = [];
  for (const [i, file] of files.entries()) {
    for (const value of await readLabels(file, label)) values.push(value);
    if (hasCoarse) for (const value of await readLabels(file, coarseColumn)) coarseValues.push(value);
    for (let row = 0; row < file.rows; row++) places.push({ file: i, row });
  }
  const where = (index: number): string => `${files[places[index]?.file ?? 0]?.path} row ${places[index]?.row}`;
  const first = files[0] as ParquetFile;
  const names = featureNames(first, label) ?? (await readClassNames(folder));
  const { classNames, labels } = nameLabels(values, { title, where }, names);
  const coarse = hasCoarse
    ? nameLabels(coarseValues, { title: `${title} (${coarseColumn})`, where }, featureNames(first, coarseColumn))
    : undefined;
  const entries = places.map(({ file: i, row }, index): SourceEntry => {
    const file = files[i] as ParquetFile;
    return {
      where: where(index),
      label: labels[index] as number,
      split: splits[i],
      read: () => readSample(file, columns[i] as Columns, row),
    };
  });
  return { kind: medium, title, classNames, entries, ...(coarse && { coarse }) };
}

/**
 * A Parquet file, or a folder of them whose names begin with train, test or validation. Class names from the metadata of the `datasets` library,
 * else from `classes.txt`, else the labels themselves. Throws `data` for a damaged file, missing columns, and labels out of range.
 */
export const openParquet: OpenSource = async (path, { signal }) => {
  throwIfStopped(signal, path);
  const isFile = (await statPath(path))?.isFile() === true;
  const paths = isFile ? [path] : await findParquetFiles(path);
  const title = `Parquet ${isFile ? "file" : "folder"} ${path}`;
  const splits = paths.map((file) => (isFile ? undefined : splitOfFile(file, dirname(file) === path)));
  const unnamed = splits.indexOf(undefined);
  if (unnamed >= 0 && splits.some((split) => split !== undefined)) {
    throw new SheafError(
      "data",
      `${paths[unnamed]}: expected a name that begins with the part it belongs to (${splitWords}), as others beside it do; rename or remove it.`,
    );
  }
  requireTraining(title, new Set(splits));
  const files: ParquetFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  try {
    for (const file of paths) files.push(await openParquetFile(file));
    const folder = isFile ? dirname(path) : path;
    const states = await Promise.all(
      paths.map(async (file) => fileState(relative(folder, file), (await statPath(file)) ?? { size: 0, mtimeMs: 0 })),
    );
    const listed = await listFiles(title, files, splits, folder);
    return { ...listed, fingerprint: fingerprintOf("parquet", states, [...listed.classNames, ...splits.map(String)]), close };
  } catch (error) {
    await close();
    throw error;
  }
};
