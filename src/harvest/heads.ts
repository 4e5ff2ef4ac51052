/** The last layer of a global model: one matrix over what the branches give. */
import type { Tensor } from "../util/tensor.ts";

/** Every type of head, in the order of reports. */
export const headTypes = ["H0", "H1", "H2", "H3", "H4", "H5"] as const;

/**
 * How a head is made: H0 for free; H1 from log-probability moments; H2 by ridge regression on features, H3 on features and log-probabilities,
 * H4 on features and a random ReLU expansion of them; H5 as the linear discriminant of features with one covariance for all classes.
 */
export type HeadType = (typeof headTypes)[number];

/** What a head's matrix multiplies; of two kinds of columns, the features stand first. */
export type HeadBasis = "logProbabilities" | "features" | "featuresAndScores" | "featuresAndExpansion";

/** logits = weight x (what it stands on) + bias. */
export interface Head {
  readonly type: HeadType;
  readonly on: HeadBasis;
  /** [classes, columns], float32. */
  readonly weight: Tensor<"float32">;
  /** [classes], float32. */
  readonly bias: Tensor<"float32">;
  /** H4: [expanded, features], float32; the expansion of features f is ReLU(expansion x f). */
  readonly expansion?: Tensor<"float32">;
}

/** What a type of head stands on, and so what has to be summed for it. */
export const headBases: { readonly [T in HeadType]: HeadBasis } = {
  H0: "logProbabilities",
  H1: "logProbabilities",
  H2: "features",
  H3: "featuresAndScores",
  H4: "featuresAndExpansion",
  H5: "features",
};

/** Columns that a head on `on` reads, of branches laid out so; `expanded` is the size of the expansion. */
export function basisWidth(
  layout: { readonly features: number; readonly logProbabilities: number },
  on: HeadBasis,
  expanded: number = 0,
): number {
  switch (on) {
    case "logProbabilities":
      return layout.logProbabilities;
    case "features":
      return layout.features;
    case "featuresAndScores":
      return layout.features + layout.logProbabilities;
    case "featuresAndExpansion":
      return layout.features + expanded;
  }
}
