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

/** Twice the five profiles that a configuration has when it names none: ten devices, so that every class may have four owners. */
const tenDevices = ["raspberry-pi-4", "phone-mid", "laptop-browser", "jetson-nano", "desktop"].flatMap((profile) => [
  { profile },
  { profile },
]);

/** The ratio that is promised. */
export const promisedRatio = 11.8;

/** What all recipes share: each class with four owners out of ten, a quarter of the rest as background, at the promised ratio. */
const fleet = { devices: tenDevices, redundancy: 4, minimumRatio: promisedRatio };

/** Every baseline is evaluated a few times for its curve over time. */
const baseline = { evaluateEvery: 3 };

/** Mirrored glyphs are other symbols. */
const glyphs = { data: { name: "glyphs" }, training: { epochs: 10, augmentation: { flip: false } } };

/**
 * All cells, in the order of the table. The rate of the target is `training.schedule.learningRate`, that of sub-models and the slim control
 * `fleet.learningRate`; left out, both are the network's own. What the central control or a baseline has otherwise stands under `methods`.
 */
export const cells: readonly Cell[] = [
  {
    id: "alexnet-cifar10",
    title: "AlexNet on CIFAR-10",
    metric: "accuracy",
    recipe: { data: { name: "cifar10" }, target: { network: "alexnet" }, rho: 0.25, fleet, baseline, training: { epochs: 30 } },
  },
  {
    id: "alexnet-cifar100",
    title: "AlexNet on CIFAR-100",
    metric: "accuracy",
    recipe: { data: { name: "cifar100" }, target: { network: "alexnet" }, rho: 0.25, fleet, baseline, training: { epochs: 30 } },
  },
  {
    id: "alexnet-kws",
    title: "AlexNet on Speech Commands",
    metric: "balancedAccuracy",
    recipe: { data: { name: "speech-commands" }, target: { network: "kws-alexnet" }, rho: 0.25, fleet, baseline, training: { epochs: 30 } },
  },
  {
    id: "vgg-cifar10",
    title: "VGG on CIFAR-10",
    metric: "accuracy",
    recipe: { data: { name: "cifar10" }, target: { network: "vgg11" }, rho: 0.25, fleet, baseline, training: { epochs: 15 } },
  },
  {
    id: "vgg-cifar100",
    title: "VGG on CIFAR-100",
    metric: "accuracy",
    recipe: { data: { name: "cifar100" }, target: { network: "vgg11" }, rho: 0.25, fleet, baseline, training: { epochs: 20 } },
  },
  {
    id: "vgg-kws",
    title: "VGG on Speech Commands",
    metric: "balancedAccuracy",
    recipe: { data: { name: "speech-commands" }, target: { network: "kws-vgg" }, rho: 0.25, fleet, baseline, training: { epochs: 30 } },
  },
  {
    id: "alexnet-glyphs",
    title: "AlexNet on glyphs",
    metric: "accuracy",
    recipe: { ...glyphs, target: { network: "alexnet" }, rho: 0.25, fleet, baseline },
  },
  {
    id: "vgg-glyphs",
    title: "VGG on glyphs",
    metric: "accuracy",
    recipe: { ...glyphs, target: { network: "vgg11" }, rho: 0.25, fleet, baseline },
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
