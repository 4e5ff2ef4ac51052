/** How large the table is made: how much data, how many epochs and seeds, which cells, and which methods in each of them. */
import { type ConfigValues, promisedRatio, tableCells } from "./cells.ts";

/** Curves that methods are points of; the recipe itself is a point of each. */
export type CurveName = "owners" | "epochs" | "ratio" | "rho" | "settle";

/** Groups of methods, which a cell runs or leaves out as a whole; `methods.ts` says what belongs to each. */
export const methodGroups = ["core", "diagnosis", "baselines", "settle", "owners", "epochs", "ratio", "rho", "ablation"] as const;
export type MethodGroup = (typeof methodGroups)[number];

export type ScaleName = "smoke" | "small" | "full";

/** What a cell has at a scale; what is left out, the scale decides. */
export interface CellScale {
  /** Lies over the cell's recipe and the scale's own configuration. */
  readonly config?: ConfigValues;
  /** Groups or single methods that run in the cell; central control and recipe always do. */
  readonly methods?: readonly string[];
  readonly curves?: Partial<Scale["curves"]>;
}

export interface Scale {
  readonly summary: string;
  /** Cells and number of seeds where none are asked for. */
  readonly cells: readonly string[];
  readonly seeds: number;
  /** Lies over every cell's recipe. */
  readonly config: ConfigValues;
  /** Groups or single methods that run in cells that name none. */
  readonly methods: readonly string[];
  /** Where the curves have their points, beside the recipe. */
  readonly curves: Readonly<Record<CurveName, readonly number[]>>;
  readonly byCell: Readonly<Record<string, CellScale>>;
}

/** Everything except the ablation's many small changes. */
const table: readonly MethodGroup[] = ["core", "diagnosis", "baselines", "settle"];

/** Images at the small scale: enough for a central control of the same size to be worth comparing with, few enough for one machine. */
const images = (trainCount: number, testCount: number): ConfigValues => ({ data: { trainCount, testCount } });

const clips: ConfigValues = { training: { epochs: 20 } };

/** The scales, smallest first. */
export const scales: Readonly<Record<ScaleName, Scale>> = {
  smoke: {
    summary: "every method once on images drawn in code: shows that all works, says nothing about accuracy",
    cells: ["alexnet-glyphs", "vgg-glyphs"],
    seeds: 1,
    config: {
      data: { trainCount: 200, testCount: 100 },
      target: { width: 0.25 },
      training: { epochs: 2, batchSize: 16 },
      baseline: { evaluateEvery: 1 },
      // So little training leaves no plan at the promised ratio: the statistics pass alone costs too much.
      fleet: {
        devices: ["phone-mid", "laptop-browser", "jetson-nano", "desktop"].map((profile) => ({ profile })),
        redundancy: 2,
        minimumRatio: 2,
        epochs: 3,
      },
    },
    methods: table,
    curves: { owners: [1], epochs: [3], ratio: [1.5], rho: [0, 1], settle: [2] },
    byCell: { "vgg-glyphs": { methods: methodGroups } },
  },
  small: {
    summary: "the six cells on a part of the images and all clips at hand, VGG on images at half width, three seeds",
    cells: tableCells,
    seeds: 3,
    config: { training: { epochs: 15, provider: "auto" } },
    methods: ["core"],
    curves: { owners: [1, 2, 4, 10], epochs: [8, 30], ratio: [4, 24], rho: [0, 0.25, 1], settle: [2] },
    byCell: {
      // Without batch normalization it learns slowly: on validation images the fleet is behind the central control after 15 epochs and ahead after 45, and a
      // narrow copy trained for so long needs no other head than its own. So it is with VGG and a hundred classes after 30.
      "alexnet-cifar10": { config: { ...images(6_000, 5_000), training: { epochs: 45 }, head: "H0" }, methods: methodGroups },
      "alexnet-cifar100": { config: images(6_000, 3_500) },
      "alexnet-kws": { config: clips },
      "vgg-kws": { config: clips },
      "vgg-cifar10": { config: { ...images(6_000, 5_000), target: { width: 0.5 } }, methods: ["core", "diagnosis"] },
      "vgg-cifar100": { config: { ...images(6_000, 3_500), target: { width: 0.5 }, training: { epochs: 30 }, head: "H0" } },
    },
  },
  full: {
    summary: "the six cells, full width, all data at hand, three seeds",
    cells: tableCells,
    seeds: 3,
    config: { training: { provider: "auto" } },
    methods: methodGroups,
    curves: {
      owners: [1, 2, 4, 6, 8, 10],
      epochs: [15, 30, 60],
      ratio: [4, 8, promisedRatio, 16, 24],
      rho: [0, 0.1, 0.25, 0.5, 1],
      settle: [0, 1, 2, 4],
    },
    byCell: {},
  },
};
