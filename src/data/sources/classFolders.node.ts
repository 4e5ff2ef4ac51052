/** Folders of files, one folder for each class: images and WAVs alike, with or without parts (train, test, validation) above the classes. */
import type { Stats } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { extname, join } from "node:path";
import { SheafError } from "../../util/errors.ts";
import type { FileState, Medium } from "./files.node.ts";
import {
  byCodeUnits,
  fileState,
  fingerprintOf,
  isHidden,
  mediaNames,
  mediumOf,
  readBytes,
  reasonOf,
  statPath,
  throwIfStopped,
} from "./files.node.ts";
import { requireClasses, splitOf, splitWords } from "./labels.ts";
import type { OpenSource, SampleSource, SourceEntry, SourceOptions, Split } from "./source.ts";

/** Folder of background noise beside the classes of sounds, as Speech Commands has it. */
export const noiseFolder = "_background_noise_";

interface Listed {
  readonly name: string;
  readonly path: string;
  readonly stats: Stats;
}

/** Files and folders in a folder, links followed, hidden ones left out, sorted. Throws `data` for a broken link and a folder that cannot be read. */
async function listVisible(folder: string): Promise<Listed[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw new SheafError("data", `Cannot read the folder ${folder} (${reasonOf(error)}); check its permissions.`, { cause: error });
  });
  const visible = names.filter((name) => !isHidden(name)).sort(byCodeUnits);
  const listed: Listed[] = [];
  const atOnce = 64;
  for (let start = 0; start < visible.length; start += atOnce) {
    const some = visible.slice(start, start + atOnce).map(async (name): Promise<Listed> => {
      const path = join(folder, name);
      const stats = await statPath(path);
      if (!stats) throw new SheafError("data", `${path} leads to nothing: expected a file, got a broken link; remove or mend it.`);
      return { name, path, stats };
    });
    listed.push(...(await Promise.all(some)));
  }
  return listed;
}

const foldersIn = async (folder: string): Promise<Listed[]> => (await listVisible(folder)).filter(({ stats }) => stats.isDirectory());

/** The medium of the first image or WAV anywhere below a folder; undefined when there is none. */
export async function mediumBelow(folder: string): Promise<Medium | undefined> {
  const entries = (await readdir(folder, { withFileTypes: true }).catch(() => [])).filter(({ name }) => !isHidden(name));
  for (const entry of entries) {
    const medium = entry.isDirectory() ? undefined : mediumOf(entry.name);
    if (medium) return medium;
  }
  for (const entry of entries.sort((a, b) => byCodeUnits(a.name, b.name))) {
    const path = join(folder, entry.name);
    const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await statPath(path))?.isDirectory() === true);
    const medium = isFolder ? await mediumBelow(path) : undefined;
    if (medium) return medium;
  }
  return undefined;
}

/** A sample's file; `relative` is relative to the root of the data set. */
interface SampleFile extends FileState {
  readonly path: string;
}

interface Walk {
  readonly root: string;
  readonly medium: Medium;
  readonly signal: AbortSignal | undefined;
}

/** Files of the medium at any depth below a folder, and the extensions of the files that were passed over. */
async function walk(
  { root, medium, signal }: Walk,
  folder: string,
): Promise<{ readonly files: SampleFile[]; readonly others: ReadonlySet<string> }> {
  const files: SampleFile[] = [];
  const others = new Set<string>();
  const visit = async (path: string, above: ReadonlySet<string>): Promise<void> => {
    throwIfStopped(signal, root);
    const real = await realpath(path);
    if (above.has(real))
      throw new SheafError("data", `${path} is a link to a folder that it lies in; expected folders that end; remove the link.`);
    for (const { name, path: inner, stats } of await listVisible(path)) {
      const found = mediumOf(name);
      if (stats.isDirectory()) {
        if (found) throw new SheafError("data", `${inner} is a folder; expected a file, as its name says; rename or remove it.`);
        await visit(inner, new Set([...above, real]));
      } else if (found === medium) {
        if (!stats.isFile())
          throw new SheafError("data", `${inner} is no regular file; expected one of the ${mediaNames[medium]}; remove it.`);
        files.push({ path: inner, ...fileState(inner.slice(root.length).replace(/^[\\/]+/, ""), stats) });
      } else if (found) {
        throw new SheafError(
          "data",
          `${inner} is in a data set of ${mediaNames[medium]}; expected one kind of files; put the others elsewhere.`,
        );
      } else {
        others.add(extname(name) || name);
      }
    }
  };
  await visit(folder, new Set());
  return { files: files.sort((a, b) => byCodeUnits(a.relative, b.relative)), others };
}

interface Part {
  readonly split: Split | undefined;
  readonly folder: string;
  /** One for each class. */
  readonly classes: readonly Listed[];
}

/**
 * The parts of a data set: its folders train, test and validation when they hold class folders, else one part that is everything.
 * Throws `data` when it is neither the one nor the other.
 */
async function partsOf(root: string, medium: Medium): Promise<Part[]> {
  const folders = (await foldersIn(root)).filter(({ name }) => name !== noiseFolder);
  const parts: Part[] = [];
  for (const { name, path } of folders) {
    const split = splitOf(name);
    if (split) parts.push({ split, folder: path, classes: await foldersIn(path) });
  }
  const isSplit = parts.some(({ classes }) => classes.length > 0) || (parts.length > 0 && parts.length === folders.length);
  if (!isSplit) return [{ split: undefined, folder: root, classes: folders }];
  for (const { name, path } of folders) {
    if (splitOf(name) === undefined && (await mediumBelow(path))) {
      throw new SheafError(
        "data",
        `${path} lies beside ${parts[0]?.folder}, which holds class folders as a part of a data set does; expected either parts alone ` +
          `(${splitWords}) or classes alone; move or rename one of them.`,
      );
    }
  }
  for (const { folder, classes, split } of parts) {
    if (classes.length === 0) {
      throw new SheafError(
        "data",
        `${folder} holds no class folders; expected one folder of ${mediaNames[medium]} for each class; add them or remove it.`,
      );
    }
    const twin = parts.find((other) => other.split === split && other.folder !== folder);
    if (twin) throw new SheafError("data", `${folder} and ${twin.folder} are both the part ${split}; expected one; merge them.`);
  }
  return parts;
}

async function listPart(
  { split, classes }: Part,
  where: Walk,
  classNames: readonly string[],
): Promise<{ entries: SourceEntry[]; states: FileState[] }> {
  const entries: SourceEntry[] = [];
  const states: FileState[] = [];
  for (const { name, path } of classes) {
    const label = classNames.indexOf(name);
    if (label < 0) {
      throw new SheafError(
        "data",
        `${path} is a class that the training part lacks; expected one of its ${classNames.length} classes; add it there or remove it.`,
      );
    }
    const { files, others } = await walk(where, path);
    if (files.length === 0) {
      const got = others.size === 0 ? "no files" : `only other files (${[...others].sort().slice(0, 5).join(", ")})`;
      throw new SheafError(
        "data",
        `The class folder ${path} holds ${got}; expected ${mediaNames[where.medium]}; add some or remove the folder.`,
      );
    }
    for (const file of files) {
      entries.push({ where: file.path, label, split, read: () => readBytes(file.path) });
      states.push(file);
    }
  }
  return { entries, states };
}

async function openClassFolders(root: string, medium: Medium, { signal }: SourceOptions): Promise<SampleSource> {
  const title = `${medium === "image" ? "image" : "WAV"} folder ${root}`;
  const parts = await partsOf(root, medium);
  const training = parts.find(({ split }) => split === undefined || split === "train");
  if (!training)
    throw new SheafError("data", `${root} holds parts (${splitWords}), but no training part; expected a folder train; add it.`);
  const classNames = training.classes.map(({ name }) => name);
  requireClasses(title, classNames);
  const where: Walk = { root, medium, signal };
  const listed: { entries: SourceEntry[]; states: FileState[] }[] = [];
  for (const part of parts) listed.push(await listPart(part, where, classNames));
  const noisePath = join(root, noiseFolder);
  const noise = medium === "audio" && (await statPath(noisePath))?.isDirectory() ? (await walk(where, noisePath)).files : undefined;
  const states = [...listed.flatMap((part) => part.states), ...(noise ?? [])];
  return {
    kind: medium,
    title,
    classNames,
    entries: listed.flatMap((part) => part.entries),
    fingerprint: fingerprintOf(`${medium} folder`, states),
    ...(noise && { noise: noise.map(({ path }) => path) }),
  };
}

/** A folder of images (JPEG, PNG, WebP) for each class. Throws `data` as the sentences above say. */
export const openImageFolder: OpenSource = (path, options) => openClassFolders(path, "image", options);

/** A folder of WAVs for each class; WAVs in `_background_noise_` are noise, not a class. Throws `data` as the sentences above say. */
export const openWavFolder: OpenSource = (path, options) => openClassFolders(path, "audio", options);
