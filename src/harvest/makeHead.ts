/** The total table of heads: what each type is made from. */
import { SheafError } from "../util/errors.ts";
import type { Harvested } from "./harvested.ts";
import type { Head, HeadType } from "./heads.ts";
import { freeHead, rescaledHead, unownedBias } from "./logProbabilityHeads.ts";
import { ridgeHead } from "./ridgeHead.ts";
import type { DeviceStatistics } from "./statistics.ts";

/** What a head may be made from. */
export interface HeadSource {
  readonly harvested: readonly Harvested[];
  readonly classCount: number;
  /** Summed statistics of these very branches; H1 and H2 need them, H0 does not. */
  readonly statistics?: DeviceStatistics;
  /** Ridge of H2; `defaultRidge` unless given. */
  readonly ridge?: number;
}

function need(type: HeadType, { statistics }: HeadSource): DeviceStatistics {
  if (!statistics)
    throw new SheafError("config", `Head ${type} needs statistics of the branches, got none; run the statistics pass or use H0.`);
  return statistics;
}

const makers: { readonly [T in HeadType]: (source: HeadSource) => Head } = {
  H0: ({ harvested, classCount }) =>
    freeHead(
      harvested.map((h) => h.subModel),
      classCount,
      unownedBias(harvested, classCount, false),
    ),
  H1: (source) => rescaledHead(source.harvested, source.classCount, need("H1", source)),
  H2: (source) => ridgeHead(need("H2", source), source.ridge),
};

/**
 * Makes a head of the given type for the given branches. Throws `config` when H1 or H2 are asked for without statistics; else as the maker of the type.
 * @example const head = makeHead("H2", { harvested, classCount: 10, statistics })
 */
export function makeHead(type: HeadType, source: HeadSource): Head {
  return makers[type](source);
}
