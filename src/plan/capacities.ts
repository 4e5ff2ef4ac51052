/** How many classes each device takes where the user does not say: more for stronger devices, within what each can carry. */
import { activationPass, type BranchCost, countedCost, expectedCost, type SettleWork, type SumsWork, type Workload } from "./cost.ts";
import type { DeviceProfile } from "./device.ts";
import { shareOut } from "./shareOut.ts";
import { membersOf, teamsOf } from "./teams.ts";
import { type Limits, type Shortfall, shortfall } from "./widths.ts";

/** Least and most classes that a device can take. */
export interface Reach {
  readonly least: number;
  readonly most: number;
}

export interface ReachRequest {
  readonly classCount: number;
  /** Classes that devices may own. */
  readonly ownableCount: number;
  /** Samples of so many of these classes that the device has of their mean size, and background samples beside them. */
  readonly samplesWith: (classes: number) => { readonly own: number; readonly background: number };
  readonly backgroundSampleBytes: number;
  readonly trainedShare: number;
  readonly sums?: SumsWork;
  readonly epochs: number;
  readonly targetEpochs?: number | undefined;
  readonly batchSize: number;
  readonly targetMacs: number;
  /** Devices among which the samples of a class are split. */
  readonly owners: number;
  /** Devices among which they are split for the statistics pass. */
  readonly summers: number;
  /** Devices whose branches run in the statistics pass. */
  readonly branches: number;
  readonly statisticsPass: boolean;
  readonly settle?: SettleWork | undefined;
  readonly activationSamples?: number | undefined;
  readonly targetBytes: number;
  readonly hardShare?: number | undefined;
  readonly progressive?: Workload["progressive"];
  readonly limits: Limits;
  readonly narrowest: number;
  readonly costOf: (width: number, logits: number) => BranchCost;
}

/**
 * With how many classes a device keeps its limits at the narrowest width, everybody else being that narrow and classes having the mean number of samples;
 * or what it lacks with a single class. A first judgement: the sizing of the whole fleet confirms or corrects it.
 */
export function reachOf(profile: DeviceProfile, request: ReachRequest): Reach | Shortfall {
  const { classCount, ownableCount, samplesWith, owners, summers, narrowest, costOf, limits, epochs, batchSize, targetMacs } = request;
  let reach: Reach | undefined;
  let first: Shortfall | undefined;
  for (let classes = 1; classes <= ownableCount; classes++) {
    const branch = costOf(narrowest, classes + 1);
    const { own, background: backgroundSamples } = samplesWith(classes);
    const workload = {
      ownSamples: request.trainedShare * (own / owners),
      backgroundSamples: request.trainedShare * backgroundSamples,
      statisticsSamples: own / summers,
      ...(request.sums && { sums: request.sums }),
      sampleBytesDown: backgroundSamples * request.backgroundSampleBytes,
      epochs,
      ...(request.targetEpochs !== undefined && { targetEpochs: request.targetEpochs }),
      batchSize,
      targetMacs,
      classCount,
      hardShare: request.hardShare ?? 1,
      ...(request.progressive && { progressive: request.progressive }),
      ...(request.settle && { settle: request.settle }),
      ...activationPass(request.activationSamples, { classes, samples: own / owners, targetBytes: request.targetBytes }),
    };
    const fleet = request.statisticsPass ? countedCost([[branch, request.branches]]) : undefined;
    const at = (): string => `at the narrowest width ${narrowest} with ${classes} ${classes === 1 ? "class" : "classes"}`;
    const missing = shortfall(expectedCost(branch, workload, profile, fleet), profile, limits, at);
    if (!missing) reach = { least: reach?.least ?? classes, most: classes };
    else first ??= missing;
  }
  return reach ?? (first as Shortfall);
}

/**
 * Classes by device, within their reach: at least `classCount * redundancy` in all where that is possible. Shares follow the square root of the speeds,
 * as a device four times as fast spends its strength on twice the classes and twice the work for each. While they overlap, no device owns more than half
 * of the classes if it can be avoided: a device that owns nearly all of them tells few apart. Disjoint groups with several owners go to teams, of which each
 * takes what its weakest device can.
 */
export function classShares(
  profiles: readonly DeviceProfile[],
  reach: readonly Reach[],
  classCount: number,
  redundancy: number,
  disjoint: boolean,
): readonly number[] {
  if (disjoint && redundancy > 1) {
    const speeds = profiles.map(({ macsPerSecond }) => macsPerSecond);
    const teams = teamsOf(speeds, redundancy);
    const members = membersOf(teams);
    const most = members.map((team) => Math.min(...team.map((i) => reach[i]!.most)));
    const least = members.map((team, t) => Math.min(most[t]!, Math.max(...team.map((i) => reach[i]!.least))));
    const weights = members.map((team) => Math.sqrt(Math.min(...team.map((i) => speeds[i]!))));
    const shares = shareOut(classCount, weights, least, most);
    return teams.map((team) => shares[team]!);
  }
  const total = classCount * redundancy;
  const weights = profiles.map(({ macsPerSecond }) => Math.sqrt(macsPerSecond));
  const least = reach.map((r) => r.least);
  const most = reach.map((r) => r.most);
  if (!disjoint) {
    const half = reach.map((r) => Math.max(r.least, Math.min(r.most, Math.ceil(classCount / 2))));
    if (half.reduce((sum, n) => sum + n, 0) >= total) return shareOut(total, weights, least, half);
  }
  return shareOut(total, weights, least, most);
}
