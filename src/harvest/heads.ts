/** The last layer of a global model: one matrix over the branches' features or log-probabilities. */
import type { Tensor } from "../util/tensor.ts";

/** How a head is made: H0 for free, H1 from log-probability moments, H2 by ridge regression on feature moments. */
export type HeadType = "H0" | "H1" | "H2";

/** logits = weight x (what it stands on) + bias. */
export interface Head {
  readonly type: HeadType;
  /** What the matrix multiplies: the branches' concatenated features or their concatenated log-probabilities. */
  readonly on: "logProbabilities" | "features";
  /** [classes, columns], float32. */
  readonly weight: Tensor<"float32">;
  /** [classes], float32. */
  readonly bias: Tensor<"float32">;
}
