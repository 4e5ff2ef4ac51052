/** The total table of baselines, by the name that the command line knows. */
import { averageOfSlim } from "./averageOfSlim.ts";
import { fedAvg } from "./fedAvg.ts";
import type { BaselineMethod } from "./federation.ts";
import { fedProx } from "./fedProx.ts";
import { fedRolex } from "./fedRolex.ts";
import { fjord } from "./fjord.ts";
import { heteroFl } from "./heteroFl.ts";
import { oneShotEnsemble } from "./oneShotEnsemble.ts";
import { splitMix } from "./splitMix.ts";

/** Names of the baselines. */
export const baselineNames = [
  "averageOfSlim",
  "fedAvg",
  "fedProx",
  "heteroFl",
  "fjord",
  "fedRolex",
  "splitMix",
  "oneShotEnsemble",
] as const;
export type BaselineName = (typeof baselineNames)[number];

/** Every baseline by its name. */
export const baselines: { readonly [N in BaselineName]: BaselineMethod } = {
  averageOfSlim,
  fedAvg,
  fedProx,
  heteroFl,
  fjord,
  fedRolex,
  splitMix,
  oneShotEnsemble,
};
