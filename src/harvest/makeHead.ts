/** The total table of heads: what each type is made from. */
import { SheafError } from "../util/errors.ts";
import type { Tensor } from "../util/tensor.ts";
import { chooseShrinkage, defaultShrinkage, discriminantHead } from "./discriminantHead.ts";
import type { Harvested } from "./harvested.ts";
import { type Head, type HeadType, headBases } from "./heads.ts";
import { freeHead, rescaledHead, unownedBias } from "./logProbabilityHeads.ts";
import { chooseRidge, defaultRidge, ridgeCandidates, ridgeHead } from "./ridgeHead.ts";
import { addStatistics, type DeviceStatistics } from "./statistics.ts";

/** What a head may be made from. */
export interface HeadSource {
  readonly harvested: readonly Harvested[];
  readonly classCount: number;
  /** Summed statistics of these very branches; all heads but H0 need them. */
  readonly statistics?: DeviceStatistics;
  /**
   * Statistics of further samples, on which the ridge of H2 to H4 and the shrinkage of H5 are chosen; the head is then made from all samples.
   * Best of samples that no branch was trained on.
   */
  readonly heldOut?: DeviceStatistics;
  /** Ridges and shrinkages to choose from with `heldOut`; `ridgeCandidates` unless given. */
  readonly candidates?: readonly number[];
  /** Ridge of H2 to H4, or shrinkage of H5, where none is chosen; `defaultRidge` and `defaultShrinkage` unless given. */
  readonly ridge?: number;
  /** The expansion that the statistics were summed with; H4 needs it. */
  readonly expansion?: Tensor<"float32">;
}

/** A head, and the ridge or shrinkage that it was made with; none for H0 and H1. */
export interface MadeHead {
  readonly head: Head;
  readonly ridge?: number;
}

function need(type: HeadType, { statistics }: HeadSource): DeviceStatistics {
  if (!statistics)
    throw new SheafError("config", `Head ${type} needs statistics of the branches, got none; run the statistics pass or use H0.`);
  return statistics;
}

/** Statistics of all samples, those held out for a choice too. */
function everything(type: HeadType, source: HeadSource): DeviceStatistics {
  const statistics = need(type, source);
  return source.heldOut ? addStatistics(statistics, source.heldOut) : statistics;
}

function ridgeOf(type: "H2" | "H3" | "H4" | "H5", source: HeadSource): number {
  const { heldOut, candidates = ridgeCandidates } = source;
  if (!heldOut) return source.ridge ?? (type === "H5" ? defaultShrinkage : defaultRidge);
  const train = need(type, source);
  return (type === "H5" ? chooseShrinkage(train, heldOut, candidates) : chooseRidge(train, heldOut, candidates, headBases[type])).ridge;
}

const ridged =
  (type: "H2" | "H3") =>
  (source: HeadSource): MadeHead => {
    const statistics = everything(type, source);
    const ridge = ridgeOf(type, source);
    return { head: ridgeHead(statistics, ridge, type), ridge };
  };

const makers: { readonly [T in HeadType]: (source: HeadSource) => MadeHead } = {
  H0: ({ harvested, classCount }) => ({
    head: freeHead(
      harvested.map((h) => h.subModel),
      classCount,
      unownedBias(harvested, classCount, false),
    ),
  }),
  H1: (source) => ({ head: rescaledHead(source.harvested, source.classCount, everything("H1", source)) }),
  H2: ridged("H2"),
  H3: ridged("H3"),
  H4: (source) => {
    const statistics = everything("H4", source);
    const { expansion } = source;
    if (expansion?.shape[0] !== statistics.expanded?.width || !expansion)
      throw new SheafError(
        "config",
        `Head H4 needs the expansion that its statistics were summed with (${statistics.expanded?.width ?? "none"}), got ${expansion?.shape[0] ?? "none"}.`,
      );
    const ridge = ridgeOf("H4", source);
    return { head: { ...ridgeHead(statistics, ridge, "H4"), expansion }, ridge };
  },
  H5: (source) => {
    const statistics = everything("H5", source);
    const ridge = ridgeOf("H5", source);
    return { head: discriminantHead(statistics, ridge), ridge };
  },
};

/**
 * Makes a head of the given type for the given branches, and says with which ridge. Throws `config` when a head other than H0 is asked for without
 * statistics, or with statistics that lack its sums; else as the maker of the type.
 */
export function makeTunedHead(type: HeadType, source: HeadSource): MadeHead {
  return makers[type](source);
}

/**
 * The head alone: see {@link makeTunedHead}.
 * @example const head = makeHead("H2", { harvested, classCount: 10, statistics })
 */
export function makeHead(type: HeadType, source: HeadSource): Head {
  return makeTunedHead(type, source).head;
}
