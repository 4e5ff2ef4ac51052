/** Arrays of images and labels as Keras and MedMNIST name them: an `.npz`, or a folder of `.npy` files. Samples are read by place as they are needed. */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SheafError } from "../../util/errors.ts";
import type { ByteFile } from "./byteFile.node.ts";
import { openByteFile } from "./byteFile.node.ts";
import { byCodeUnits, fileState, fingerprintOf, isHidden, readClassNames, statPath, throwIfStopped } from "./files.node.ts";
import type { Layout, OpenArray } from "./imageArray.node.ts";
import { layoutOf, readLabels, requireRows, sampleReader } from "./imageArray.node.ts";
import { nameLabels, requireTraining } from "./labels.ts";
import { isNumeric, npyBytes, npyStrings, parseNpyHeader } from "./npy.ts";
import { openNpz } from "./npz.node.ts";
import type { OpenSource, SampleSource, SourceEntry, Split } from "./source.ts";

/** Names of a part's arrays, compared in lower case. */
interface PartNames {
  readonly split: Split | undefined;
  readonly images: readonly string[];
  readonly labels: readonly string[];
}

const partNames: readonly PartNames[] = [
  { split: "train", images: ["x_train", "train_images", "train_x"], labels: ["y_train", "train_labels", "train_y"] },
  {
    split: "validation",
    images: ["x_val", "x_valid", "x_validation", "val_images", "valid_images", "validation_images"],
    labels: ["y_val", "y_valid", "y_validation", "val_labels", "valid_labels", "validation_labels"],
  },
  { split: "test", images: ["x_test", "test_images", "test_x"], labels: ["y_test", "test_labels", "test_y"] },
  { split: undefined, images: ["images", "x", "data"], labels: ["labels", "y", "targets"] },
];

/** The arrays that hold images, in a sentence. */
export const arrayNames = "x_train and y_train (x_test, x_val), train_images and train_labels (test_, val_), or images and labels";

/** Arrays by name, however they are stored. */
interface ArrayStore {
  readonly title: string;
  readonly names: readonly string[];
  open(name: string): Promise<ByteFile>;
  close(): Promise<void>;
}

async function openArray(store: ArrayStore, name: string): Promise<OpenArray> {
  const file = await store.open(name);
  return { file, header: parseNpyHeader(file.head, file.where, file.size) };
}

interface OpenPart {
  readonly split: Split | undefined;
  readonly images: OpenArray;
  readonly layout: Layout;
  readonly labels: Uint8Array | Float64Array;
  readonly labelsWhere: string;
}

async function openPart(store: ArrayStore, names: PartNames): Promise<OpenPart | undefined> {
  const find = (aliases: readonly string[]): string | undefined => {
    const found = store.names.filter((name) => aliases.includes(name.toLowerCase()));
    if (found.length > 1)
      throw new SheafError(
        "data",
        `${store.title} has ${found.join(" and ")}, which mean the same; expected one of them; remove the others.`,
      );
    return found[0];
  };
  const imagesName = find(names.images);
  const labelsName = find(names.labels);
  if (imagesName === undefined && labelsName === undefined) return undefined;
  if (imagesName === undefined || labelsName === undefined) {
    const [missing, aliases] = imagesName === undefined ? ["images", names.images] : ["labels", names.labels];
    throw new SheafError(
      "data",
      `${store.title} has ${imagesName ?? labelsName} without its ${missing}; expected ${aliases.join(" or ")} beside it, got ${store.names.join(", ")}; add the array.`,
    );
  }
  const images = await openArray(store, imagesName);
  requireRows(images, "images");
  const layout = layoutOf(images);
  const labels = await openArray(store, labelsName);
  return { split: names.split, images, layout, labels: await readLabels(labels, images), labelsWhere: labels.file.where };
}

/** Throws `data` unless all parts have samples of one shape and type. */
function requireAlike(parts: readonly OpenPart[]): void {
  const [first, ...rest] = parts as readonly [OpenPart, ...OpenPart[]];
  const told = ({ layout: { shape }, images }: OpenPart): string =>
    `[${shape.channels}, ${shape.height}, ${shape.width}] of type ${images.header.type}`;
  for (const part of rest) {
    if (told(part) !== told(first)) {
      throw new SheafError(
        "data",
        `${part.images.file.where} has samples ${told(part)}, but ${first.images.file.where} has ${told(first)}; expected the same; save both alike.`,
      );
    }
  }
}

async function readNames(store: ArrayStore, folder: string): Promise<readonly string[] | undefined> {
  const name = store.names.find((candidate) => candidate.toLowerCase() === "class_names");
  if (name === undefined) return readClassNames(folder);
  const { file, header } = await openArray(store, name);
  if (isNumeric(header) || header.shape.length !== 1) {
    throw new SheafError(
      "data",
      `${file.where}: expected class names as one row of text, got type ${header.type} and shape (${header.shape.join(", ")}); save a list of strings.`,
    );
  }
  return npyStrings(header, await file.read(header.dataStart, npyBytes(header)));
}

/** The listing over a store of arrays; `folder` may hold a `classes.txt`. */
async function listArrays(
  store: ArrayStore,
  folder: string,
  fingerprint: (names: readonly string[]) => Promise<string>,
): Promise<SampleSource> {
  const parts: OpenPart[] = [];
  for (const names of partNames) {
    const part = await openPart(store, names);
    if (part) parts.push(part);
  }
  const whole = parts.find(({ split }) => split === undefined);
  if (parts.length === 0 || (whole && parts.length > 1)) {
    const got = parts.length === 0 ? store.names.join(", ") || "no arrays" : parts.map(({ images }) => images.file.where).join(" and ");
    throw new SheafError("data", `${store.title}: expected the arrays ${arrayNames}, got ${got}; name the arrays so.`);
  }
  requireTraining(store.title, new Set(parts.map(({ split }) => split)));
  requireAlike(parts);
  const names = await readNames(store, folder);
  const values: number[] = [];
  const owner: { part: OpenPart; index: number }[] = [];
  for (const part of parts) {
    part.labels.forEach((label, index) => {
      values.push(label);
      owner.push({ part, index });
    });
  }
  const where = (i: number): string => `${owner[i]?.part.labelsWhere} row ${owner[i]?.index}`;
  const { classNames, labels } = nameLabels(values, { title: store.title, where }, names);
  const readers = new Map(parts.map((part) => [part, sampleReader(part.images, part.layout)]));
  const entries = owner.map(({ part, index }, i): SourceEntry => {
    const read = readers.get(part) as NonNullable<ReturnType<typeof readers.get>>;
    return { where: `${part.images.file.where} row ${index}`, label: labels[i] as number, split: part.split, read: () => read(index) };
  });
  const { layout, images } = parts[0] as OpenPart;
  return {
    kind: "array",
    title: store.title,
    classNames,
    entries,
    fingerprint: await fingerprint(names ?? []),
    array: { shape: layout.shape, dtype: images.header.type === "u1" || images.header.type === "b1" ? "uint8" : "float32" },
    close: () => store.close(),
  };
}

async function orClose(store: ArrayStore, list: () => Promise<SampleSource>): Promise<SampleSource> {
  try {
    return await list();
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function stateOf(path: string, relative: string): Promise<ReturnType<typeof fileState>> {
  return fileState(relative, (await statPath(path)) ?? { size: 0, mtimeMs: 0 });
}

/**
 * An `.npz` of images and labels; class names from its array `class_names`, or from `classes.txt` beside it.
 * Throws `data` for a damaged file, arrays that do not fit each other, and labels out of range; `storage` when a compressed array finds no room.
 */
export const openNpzArrays: OpenSource = async (path, { signal }) => {
  throwIfStopped(signal, path);
  const npz = await openNpz(path);
  const store: ArrayStore = { title: `arrays ${path}`, names: npz.names, open: (name) => npz.member(name), close: () => npz.close() };
  return orClose(store, () => listArrays(store, dirname(path), async (names) => fingerprintOf("npz", [await stateOf(path, "")], names)));
};

/** A folder of `.npy` files of those names. Throws `data` as for an `.npz`. */
export const openNpyFolder: OpenSource = async (path, { signal }) => {
  throwIfStopped(signal, path);
  const files = (await readdir(path)).filter((name) => name.toLowerCase().endsWith(".npy") && !isHidden(name)).sort(byCodeUnits);
  const opened: ByteFile[] = [];
  const store: ArrayStore = {
    title: `array folder ${path}`,
    names: files.map((name) => name.slice(0, -".npy".length)),
    async open(name) {
      const file = await openByteFile(join(path, files.find((candidate) => candidate.slice(0, -".npy".length) === name) ?? name));
      opened.push(file);
      return file;
    },
    async close() {
      for (const file of opened) await file.close();
    },
  };
  const fingerprint = async (names: readonly string[]): Promise<string> =>
    fingerprintOf("npy folder", await Promise.all(files.map((name) => stateOf(join(path, name), name))), names);
  return orClose(store, () => listArrays(store, path, fingerprint));
};
