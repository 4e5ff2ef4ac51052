/** The cells of the table, a network on a data set each, with the recipe of each in one place. Every choice in it is made on validation samples. */
import { SheafError } from "../util/errors.ts";

/** One network on one data set, and how Sheaf is set up for it. */
export interface Cell {
  readonly id: string;
  readonly title: string;
  /** Configuration as a file would hold it; scales lie over it, and methods change single keys of it. */
  readonly recipe: Readonly<Record<string, unknown>>;
  /** How much of the data the small scale uses. */
  readonly small: { readonly trainCount?: number; readonly testCount?: number };
}

/** Twice the five profiles that a configuration has when it names none: ten devices, so that every class may have four owners. */
const tenDevices = ["raspberry-pi-4", "phone-mid", "laptop-browser", "jetson-nano", "desktop"].flatMap((profile) => [
  { profile },
  { profile },
]);

/** The ratio that is promised. */
export const promisedRatio = 11.8;

/** What all recipes share: each class with four owners out of ten, a quarter of the rest as background, at the promised ratio. */
const fleet = { devices: tenDevices, redundancy: 4, minimumRatio: promisedRatio };

interface Part {
  readonly id: string;
  readonly title: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly small: Cell["small"];
}

const images = { augmentation: { crop: 4, flip: true } };

/** The data sets of the table, and glyphs, which need no files. */
const dataSets = {
  cifar10: {
    id: "cifar10",
    title: "CIFAR-10",
    config: { data: { name: "cifar10" }, training: images },
    small: { trainCount: 5_000, testCount: 2_000 },
  },
  cifar100: {
    id: "cifar100",
    title: "CIFAR-100",
    config: { data: { name: "cifar100" }, training: images },
    small: { trainCount: 10_000, testCount: 2_000 },
  },
  kws: { id: "kws", title: "Speech Commands", config: { data: { name: "speech-commands" }, training: {} }, small: {} },
  // Mirrored glyphs are other symbols.
  glyphs: {
    id: "glyphs",
    title: "glyphs",
    config: { data: { name: "glyphs" }, training: { augmentation: { flip: false } } },
    small: { trainCount: 2_000, testCount: 1_000 },
  },
} as const satisfies Readonly<Record<string, Part>>;

/** Epochs of the full scale: enough for the central control to level off at these sizes of data. */
const cell = (
  architecture: "alexnet" | "vgg",
  data: Part,
  network: string,
  epochs: number,
  more: Readonly<Record<string, unknown>> = {},
): Cell => ({
  id: `${architecture}-${data.id}`,
  title: `${architecture === "vgg" ? "VGG" : "AlexNet"} on ${data.title}`,
  small: data.small,
  recipe: {
    ...data.config,
    target: { network },
    rho: 0.25,
    fleet,
    ...more,
    training: { epochs, ...(data.config.training as object), ...(more.training as object | undefined) },
  },
});

/** All cells, in the order of the table. */
export const cells: readonly Cell[] = [
  cell("alexnet", dataSets.cifar10, "alexnet", 30),
  cell("alexnet", dataSets.cifar100, "alexnet", 30),
  cell("alexnet", dataSets.kws, "kws-alexnet", 30),
  cell("vgg", dataSets.cifar10, "vgg11", 15),
  cell("vgg", dataSets.cifar100, "vgg11", 20),
  cell("vgg", dataSets.kws, "kws-vgg", 30),
  cell("alexnet", dataSets.glyphs, "alexnet", 10),
  cell("vgg", dataSets.glyphs, "vgg11", 10),
];

/** The six cells that the promise is about. */
export const tableCells: readonly string[] = cells.map(({ id }) => id).filter((id) => !id.endsWith("-glyphs"));

/** A cell by id. Throws `usage` naming those there are. */
export function cellOf(id: string): Cell {
  const found = cells.find((candidate) => candidate.id === id);
  if (!found) throw new SheafError("usage", `There is no cell "${id}"; the cells are ${cells.map((c) => c.id).join(", ")}.`);
  return found;
}
