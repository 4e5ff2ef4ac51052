/** What a run will ask of this device, before it is planned: an upper bound by the samples at hand. */
import { branchCost, expectedCost } from "../../src/plan/cost.ts";
import type { InvitedRun } from "../../src/protocol/invitation.ts";

export interface Ask {
  /** Undefined before the speed was measured. */
  readonly seconds: number | undefined;
  readonly memoryBytes: number;
  readonly bytesUp: number;
}

/** Bounds for so many samples in all. The plan may give the device fewer classes or a narrower sub-model. */
export function askOf(run: InvitedRun, samples: number, macsPerSecond: number | undefined): Ask {
  const { branch, epochs, batchSize, classNames } = run;
  const cost = branchCost(branch);
  const profile = { name: "this browser", macsPerSecond: macsPerSecond ?? 1, memoryBytes: 4e9, bandwidthBitsPerSecond: 1e7 };
  const workload = { ownSamples: samples, backgroundSamples: 0, epochs, batchSize, targetMacs: cost.macs, classCount: classNames.length };
  const { seconds, memoryBytes, bytesUp } = expectedCost(cost, workload, profile, undefined);
  return { seconds: macsPerSecond === undefined ? undefined : seconds, memoryBytes, bytesUp };
}
