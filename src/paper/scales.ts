/** How large the table is made: how much data, how many epochs and seeds, which cells and methods. */
import { type Cell, promisedRatio, tableCells } from "./cells.ts";

/** Curves that methods are points of; the recipe itself is a point of each. */
export type CurveName = "ratio" | "rho" | "settle";

export type ScaleName = "smoke" | "small" | "full";

export interface Scale {
  readonly summary: string;
  /** Cells and number of seeds where none are asked for. */
  readonly cells: readonly string[];
  readonly seeds: number;
  /** Lies over a cell's recipe. */
  readonly config: (cell: Cell) => Readonly<Record<string, unknown>>;
  /** Where the curves have their points, beside the recipe. */
  readonly curves: Readonly<Record<CurveName, readonly number[]>>;
}

/** The scales, smallest first. */
export const scales: Readonly<Record<ScaleName, Scale>> = {
  smoke: {
    summary: "every method once on images drawn in code: shows that all works, says nothing about accuracy",
    cells: ["alexnet-glyphs", "vgg-glyphs"],
    seeds: 1,
    config: () => ({
      data: { trainCount: 200, testCount: 100 },
      target: { width: 0.25 },
      training: { epochs: 2, batchSize: 16 },
      // So little training leaves no plan at the promised ratio: the statistics pass alone costs too much.
      fleet: { devices: ["phone-mid", "laptop-browser", "desktop"].map((profile) => ({ profile })), redundancy: 2, minimumRatio: 2 },
    }),
    curves: { ratio: [1.5], rho: [0, 1], settle: [1] },
  },
  small: {
    summary: "the six cells with half-width targets and a part of the data, one seed: which way things point",
    cells: tableCells,
    seeds: 1,
    config: ({ small }) => ({ data: small, target: { width: 0.5 }, training: { epochs: 10, batchSize: 32 } }),
    curves: { ratio: [4, 24], rho: [0, 1], settle: [1] },
  },
  full: {
    summary: "the six cells, full width, all data at hand, three seeds",
    cells: tableCells,
    seeds: 3,
    config: () => ({}),
    curves: { ratio: [4, 8, promisedRatio, 16, 24], rho: [0, 0.1, 0.25, 0.5, 1], settle: [0, 1, 2, 4] },
  },
};
