/** The total table of layer types: a new type is a compile error here until all its questions are answered. */
import type { LayerType } from "../network.ts";
import type { LayerRules } from "../rules.ts";
import { add } from "./add.ts";
import { avgPool } from "./avgPool.ts";
import { batchNorm } from "./batchNorm.ts";
import { clip } from "./clip.ts";
import { concat } from "./concat.ts";
import { conv2d } from "./conv2d.ts";
import { dropout } from "./dropout.ts";
import { flatten } from "./flatten.ts";
import { globalAvgPool } from "./globalAvgPool.ts";
import { groupNorm } from "./groupNorm.ts";
import { hardSwish } from "./hardSwish.ts";
import { leakyRelu } from "./leakyRelu.ts";
import { linear } from "./linear.ts";
import { maxPool } from "./maxPool.ts";
import { relu } from "./relu.ts";
import { sigmoid } from "./sigmoid.ts";
import { zeroPad } from "./zeroPad.ts";

export const layerRules: { readonly [T in LayerType]: LayerRules<T> } = {
  add,
  avgPool,
  batchNorm,
  clip,
  concat,
  conv2d,
  dropout,
  flatten,
  globalAvgPool,
  groupNorm,
  hardSwish,
  leakyRelu,
  linear,
  maxPool,
  relu,
  sigmoid,
  zeroPad,
};

/** The rules of one layer; the cast states what the table's type already guarantees. */
export function rulesOf<T extends LayerType>(layer: { readonly type: T }): LayerRules<T> {
  return layerRules[layer.type] as unknown as LayerRules<T>;
}
