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

type Recipe = Pick<Cell, "recipe" | "methods">;

/** Ten equal devices: every class can have several owners, and task sets of one size make the best code. */
const tenDevices = Array.from({ length: 10 }, () => ({ profile: "laptop-browser" }));

/** The ratio that is promised. */
export const promisedRatio = 11.8;

/** What all recipes share: ten owners of each class out of ten devices, the target's epochs, at the promised ratio. */
const fleet = (more: ConfigValues = {}): ConfigValues => ({ devices: tenDevices, redundancy: 10, minimumRatio: promisedRatio, ...more });

/**
 * Measured on 3,000 validation images of CIFAR-10, 6,000 for training (seed 0), and on 300 validation clips; the tables stand in docs/results.md. A narrow network under a
 * short schedule fits too little rather than too much: crops by 2 pixels instead of 4 give a narrow VGG 4 points and a narrow AlexNet 2, and clips without masks a narrow
 * AlexNet 4. The full VGG and the full keyword networks are better with the stronger augmentation, and keep it; the full AlexNet is best with crops by 1 pixel. AlexNet's first layer is so large a part of a narrow copy that narrowing all layers alike beats sparing it.
 * AlexNet on clips has more features than a ridge can weigh by so few clips: there H0 is no worse on validation clips.
 */
const alexnet = (epochs: number): Recipe => ({
  recipe: {
    target: { network: "alexnet" },
    fleet: fleet({ shape: "uniform", learningRate: 0.01 }),
    training: { epochs, batchSize: 32, schedule: { learningRate: 0.01 }, augmentation: { crop: 2 } },
  },
  methods: { central: { training: { augmentation: { crop: 1 } } } },
});
const vgg = (epochs: number): Recipe => ({
  recipe: {
    target: { network: "vgg11" },
    fleet: fleet(),
    training: { epochs, batchSize: 64, labelSmoothing: 0.1, augmentation: { crop: 2 } },
  },
  methods: { central: { training: { augmentation: { crop: 4 } } } },
});
const keywords = (network: string, epochs: number, more: ConfigValues = {}): Recipe => ({
  recipe: {
    ...more,
    data: { name: "speech-commands" },
    target: { network },
    fleet: fleet(),
    training: { epochs, augmentation: { audio: { masks: 0 } } },
  },
  methods: { central: { training: { augmentation: { audio: { masks: 1 } } } } },
});

/** Every baseline is evaluated a few times for its curve over time; each head's ridge is chosen on samples that were trained on but are not in its sums. */
const common = { rho: 0.25, baseline: { evaluateEvery: 3 }, heads: { heldOutShare: 0.1, heldOutFrom: "sums" } };

const withMethods = ({ recipe, methods }: Recipe, more: Recipe["methods"]): Recipe => ({ recipe, methods: { ...methods, ...more } });

const cell = ({ recipe, methods }: Recipe, more: ConfigValues = {}): Recipe => ({
  recipe: { ...common, ...recipe, ...more },
  ...(methods ? { methods } : {}),
});

/**
 * Baselines of AlexNet on CIFAR-10, each with the rate that was best on 3,000 validation images (6,000 for training, 15 epochs, seed 0; docs/ablation.md). Those that
 * train the full target have its augmentation.
 */
const tunedBaselines: Recipe["methods"] = {
  fedAvg: { training: { augmentation: { crop: 1 }, schedule: { learningRate: 0.02 } } },
  fedProx: { training: { augmentation: { crop: 1 } }, baseline: { mu: 0.01 } },
  heteroFl: { fleet: { learningRate: 0.02 } },
  // It draws narrower widths too: this one costs a device what the sub-model does.
  fjord: { fleet: { learningRate: 0.02 }, baseline: { width: 0.36 } },
  // It needs many rounds: a fifth of the devices in each.
  fedRolex: { fleet: { learningRate: 0.05 }, baseline: { rounds: 75, participation: 0.2 } },
  splitMix: { fleet: { learningRate: 0.02 } },
};

/** Mirrored glyphs are other symbols. */
const glyphs = (network: string, epochs: number): ConfigValues => ({
  data: { name: "glyphs" },
  target: { network },
  fleet: fleet({ redundancy: 6 }),
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
    ...cell(withMethods(alexnet(30), tunedBaselines), { data: { name: "cifar10" } }),
  },
  {
    id: "alexnet-cifar100",
    title: "AlexNet on CIFAR-100",
    metric: "accuracy",
    ...cell(alexnet(30), { data: { name: "cifar100" } }),
  },
  {
    id: "alexnet-kws",
    title: "AlexNet on Speech Commands",
    metric: "balancedAccuracy",
    ...cell(keywords("kws-alexnet", 30, { head: "H0" })),
  },
  {
    id: "vgg-cifar10",
    title: "VGG on CIFAR-10",
    metric: "accuracy",
    ...cell(vgg(15), { data: { name: "cifar10" } }),
  },
  {
    id: "vgg-cifar100",
    title: "VGG on CIFAR-100",
    metric: "accuracy",
    ...cell(vgg(20), { data: { name: "cifar100" } }),
  },
  {
    id: "vgg-kws",
    title: "VGG on Speech Commands",
    metric: "balancedAccuracy",
    ...cell(keywords("kws-vgg", 30)),
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
