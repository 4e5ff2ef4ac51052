/** Tells which kind of own data lies at a path, and opens it: one row for each kind. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { SheafError } from "../../util/errors.ts";
import { arrayNames, openNpyFolder, openNpzArrays } from "./arrays.node.ts";
import { mediumBelow, openImageFolder, openWavFolder } from "./classFolders.node.ts";
import { openCsv } from "./csv.node.ts";
import type { Medium } from "./files.node.ts";
import { isHidden, reasonOf, statPath } from "./files.node.ts";
import { findParquetFiles, isParquet, openParquet } from "./parquet.node.ts";
import type { OpenSource, SampleSource, SourceOptions } from "./source.ts";
import { isSpeechCommands, openSpeechCommands } from "./speechCommands.node.ts";

/** What a look at a path gives. */
export interface Found {
  readonly path: string;
  readonly isFolder: boolean;
  /** Visible names in it; empty for a file. */
  readonly names: readonly string[];
  /** What the folders in it hold; looked for when asked. */
  readonly mediumOfFolders: () => Promise<Medium | undefined>;
}

/** One kind of own data. */
export interface SourceFormat {
  /** What a path must be to be of this kind, in a sentence. */
  readonly looksFor: string;
  readonly isKind: (found: Found) => boolean | Promise<boolean>;
  readonly open: OpenSource;
  /** Whether words and silence can be asked of it. */
  readonly takesWords: boolean;
}

const endsWith = (path: string, extension: string): boolean => path.toLowerCase().endsWith(extension);

export type SourceFormatName = "speechCommands" | "csv" | "npz" | "npyFolder" | "parquet" | "imageFolder" | "wavFolder";

/** All kinds, asked in this order; the first that says yes opens the path. */
export const sourceFormats: Readonly<Record<SourceFormatName, SourceFormat>> = {
  speechCommands: {
    looksFor: "a Speech Commands folder (with validation_list.txt or testing_list.txt)",
    isKind: ({ path, isFolder }) => isFolder && isSpeechCommands(path),
    open: openSpeechCommands,
    takesWords: true,
  },
  csv: {
    looksFor: "a .csv file with the header path,label or path,label,split",
    isKind: ({ path, isFolder }) => !isFolder && endsWith(path, ".csv"),
    open: openCsv,
    takesWords: false,
  },
  npz: {
    looksFor: `a .npz file with the arrays ${arrayNames}`,
    isKind: ({ path, isFolder }) => !isFolder && endsWith(path, ".npz"),
    open: openNpzArrays,
    takesWords: false,
  },
  npyFolder: {
    looksFor: "a folder of .npy files with those names",
    isKind: ({ names }) => names.some((name) => endsWith(name, ".npy")),
    open: openNpyFolder,
    takesWords: false,
  },
  parquet: {
    looksFor: "a .parquet file, or a folder of them",
    isKind: async ({ path, isFolder }) => (isFolder ? (await findParquetFiles(path)).length > 0 : isParquet(path)),
    open: openParquet,
    takesWords: false,
  },
  imageFolder: {
    looksFor: "a folder of images (.jpg, .jpeg, .png, .webp) for each class",
    isKind: async ({ mediumOfFolders }) => (await mediumOfFolders()) === "image",
    open: openImageFolder,
    takesWords: false,
  },
  wavFolder: {
    looksFor: "a folder of .wav files for each class",
    isKind: async ({ mediumOfFolders }) => (await mediumOfFolders()) === "audio",
    open: openWavFolder,
    takesWords: false,
  },
};

async function lookAt(path: string): Promise<Found> {
  const stats = await statPath(path);
  if (!stats) throw new SheafError("data", `${path} does not exist; expected a file or folder of labelled samples; check the path.`);
  const isFolder = stats.isDirectory();
  const names = isFolder
    ? await readdir(path).catch((error: unknown) => {
        throw new SheafError("data", `Cannot read the folder ${path} (${reasonOf(error)}); check its permissions.`, { cause: error });
      })
    : [];
  const visible = names.filter((name) => !isHidden(name)).sort();
  let medium: Promise<Medium | undefined> | undefined;
  const look = async (): Promise<Medium | undefined> => {
    for (const name of visible) {
      const inner = join(path, name);
      const found = (await statPath(inner))?.isDirectory() ? await mediumBelow(inner) : undefined;
      if (found) return found;
    }
    return undefined;
  };
  const mediumOfFolders = (): Promise<Medium | undefined> => {
    medium ??= look();
    return medium;
  };
  return { path, isFolder, names: visible, mediumOfFolders };
}

/** The kind of own data at a path. Throws `data`, saying what was looked for, when it is none. */
export async function detectSource(path: string): Promise<SourceFormatName> {
  const found = await lookAt(path);
  for (const name of Object.keys(sourceFormats) as SourceFormatName[]) {
    const format = sourceFormats[name];
    if (await format.isKind(found)) return name;
  }
  const looked = Object.values(sourceFormats).map((format, i) => `(${i + 1}) ${format.looksFor}`);
  const shown = found.names.slice(0, 5).join(", ") + (found.names.length > 5 ? ", ..." : "");
  const got = found.isFolder ? (found.names.length === 0 ? "an empty folder" : `a folder with ${shown}`) : "a file of another kind";
  throw new SheafError("data", `${path}: expected ${looked.join(", ")}; got ${got}; arrange the data in one of these ways.`);
}

/**
 * Opens own data at a path, whatever kind it is; nothing is decoded. Throws `data`, with the path, what was expected and what is there;
 * `config` when words or silence are asked of data other than Speech Commands; `interrupted` when the signal is aborted.
 * @example const source = await openSource("photos", {});
 */
export async function openSource(path: string, options: SourceOptions): Promise<SampleSource> {
  const format = sourceFormats[await detectSource(path)];
  if (!format.takesWords && (options.words !== undefined || options.silence === true)) {
    throw new SheafError(
      "config",
      `${path}: words and silence can be chosen for Speech Commands alone; remove data.words and data.silence.`,
    );
  }
  return format.open(path, options);
}
