/** The cells of the table, a network on a data set each, with the recipe of each in one place. Every choice in it is made on validation samples. */
import { SheafError } from "../util/errors.ts";

/** Values of a configuration as a file would hold them. */
export type ConfigValues = Readonly<Record<string, unknown>>;

/** One network on one data set, and how Sheaf is set up for it. */
export interface Cell {
  readonly id: string;
  readonly title: string;
  /** What counts as accuracy here: of all samples, or the mean over the classes where these have unequal numbers. */
  readonly metric: "accuracy" | "balancedAccuracy";
  /** The configuration of all methods; scales lie over it, and methods change single keys of it. */
  readonly recipe: ConfigValues;
  /** What single methods have otherwise than the recipe, by the method's id or its group: lies over the scale. */
  readonly methods?: Readonly<Record<string, ConfigValues>>;
}

/** Ten equal devices: every class can have several owners, and task sets of one size make the best code. */
const tenDevices = Array.from({ length: 10 }, () => ({ profile: "laptop-browser" }));

/** The ratio that is promised. */
export const promisedRatio = 11.8;

/** What all recipes share: each class with six owners out of ten, a quarter of the rest as background, the target's epochs, at the promised ratio. */
const fleet = (more: ConfigValues = {}): ConfigValues => ({ devices: tenDevices, redundancy: 6, minimumRatio: promisedRatio, ...more });

/**
 * Measured on 3,000 validation images of CIFAR-10, 6,000 for training (seed 0): AlexNet's first layer is so large a part of a narrow copy that narrowing all layers alike
 * beats sparing it, and its narrow copies take a lower rate than the table of networks has; VGG's narrow copies gain 3 points by
 * batches of 64 instead of 32 or by label smoothing, and 2 more as a fleet by ten owners of a class instead of six.
 */
const alexnet = (epochs: number): ConfigValues => ({
  target: { network: "alexnet" },
  fleet: fleet({ shape: "uniform", learningRate: 0.02 }),
  training: { epochs, batchSize: 32, schedule: { learningRate: 0.01 } },
});
const vgg = (epochs: number): ConfigValues => ({
  target: { network: "vgg11" },
  fleet: fleet({ redundancy: 10 }),
  training: { epochs, batchSize: 64, labelSmoothing: 0.1 },
});
const keywords = (network: string, epochs: number): ConfigValues => ({
  data: { name: "speech-commands" },
  target: { network },
  fleet: fleet(),
  training: { epochs },
});

/** Every baseline is evaluated a few times for its curve over time. */
const common = { rho: 0.25, baseline: { evaluateEvery: 3 } };

/** Mirrored glyphs are other symbols. */
const glyphs = (network: string, epochs: number): ConfigValues => ({
  data: { name: "glyphs" },
  target: { network },
  fleet: fleet(),
  training: { epochs, augmentation: { flip: false } },
});

/**
 * All cells, in the order of the table. The rate of the target is `training.schedule.learningRate`, that of sub-models and the slim control
 * `fleet.learningRate`; left out, both are the network's own. What the central control or a baseline has otherwise stands under `methods`.
 */
export const cells: readonly Cell[] = [
  {
    id: "alexnet-cifar10",
    title: "AlexNet on CIFAR-10",
    metric: "accuracy",
    recipe: { ...common, ...alexnet(30), data: { name: "cifar10" } },
  },
  {
    id: "alexnet-cifar100",
    title: "AlexNet on CIFAR-100",
    metric: "accuracy",
    recipe: { ...common, ...alexnet(30), data: { name: "cifar100" } },
  },
  {
    id: "alexnet-kws",
    title: "AlexNet on Speech Commands",
    metric: "balancedAccuracy",
    recipe: { ...common, ...keywords("kws-alexnet", 30) },
  },
  {
    id: "vgg-cifar10",
    title: "VGG on CIFAR-10",
    metric: "accuracy",
    recipe: { ...common, ...vgg(15), data: { name: "cifar10" } },
  },
  {
    id: "vgg-cifar100",
    title: "VGG on CIFAR-100",
    metric: "accuracy",
    recipe: { ...common, ...vgg(20), data: { name: "cifar100" } },
  },
  {
    id: "vgg-kws",
    title: "VGG on Speech Commands",
    metric: "balancedAccuracy",
    recipe: { ...common, ...keywords("kws-vgg", 30) },
  },
  {
    id: "alexnet-glyphs",
    title: "AlexNet on glyphs",
    metric: "accuracy",
    recipe: { ...common, ...glyphs("alexnet", 10) },
  },
  {
    id: "vgg-glyphs",
    title: "VGG on glyphs",
    metric: "accuracy",
    recipe: { ...common, ...glyphs("vgg11", 10) },
  },
];

/** The six cells that the promise is about. */
export const tableCells: readonly string[] = cells.map(({ id }) => id).filter((id) => !id.endsWith("-glyphs"));

/** A cell by id. Throws `usage` naming those there are. */
export function cellOf(id: string): Cell {
  const found = cells.find((candidate) => candidate.id === id);
  if (!found) throw new SheafError("usage", `There is no cell "${id}"; the cells are ${cells.map((c) => c.id).join(", ")}.`);
  return found;
}
