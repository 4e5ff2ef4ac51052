/** Sizes sub-models: for each device the widest copy of the target that it can train within its memory, the deadline and the wished-for saving. */
import type { Progressive } from "../compile/progressive.ts";
import { narrow, type WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { formatBytes, formatDuration, formatRatio } from "../util/format.ts";
import { type BranchCost, branchCost, type Expected, expectedCost, fleetCost, type Workload } from "./cost.ts";
import type { DeviceProfile } from "./device.ts";

/** What every device must keep to. */
export interface Limits {
  readonly deadlineSeconds?: number | undefined;
  readonly minimumRatio?: number | undefined;
}

/** A limit that a device does not keep, and the sentence's end that says by how much. */
export interface Shortfall {
  readonly limit: "memory" | "deadline" | "ratio";
  readonly reason: string;
}

/** The first limit that `expected` breaks. `at` says for which sub-model, as in "at width 0.05 with 2 classes". */
export function shortfall(expected: Expected, profile: DeviceProfile, limits: Limits, at: string): Shortfall | undefined {
  const { memoryBytes, seconds, ratio } = expected;
  if (memoryBytes > profile.memoryBytes) {
    return { limit: "memory", reason: `needs ${formatBytes(memoryBytes)} of memory ${at} and has ${formatBytes(profile.memoryBytes)}` };
  }
  if (limits.deadlineSeconds !== undefined && seconds > limits.deadlineSeconds) {
    return {
      limit: "deadline",
      reason: `needs ${formatDuration(1000 * seconds)} ${at} and the deadline is ${formatDuration(1000 * limits.deadlineSeconds)}`,
    };
  }
  if (limits.minimumRatio !== undefined && !(ratio >= limits.minimumRatio)) {
    return {
      limit: "ratio",
      reason: `saves ${formatRatio(ratio)} of the full target's computation ${at} and ${formatRatio(limits.minimumRatio)} is asked for`,
    };
  }
  return undefined;
}

/** Costs of the target at a size with a number of logits; each computed once. `widthsOf` says how wide its layers are at a size. */
export function branchCosts(
  target: Network,
  widthsOf: (size: number) => WidthFactors,
  progressive?: Progressive,
): (size: number, logits: number) => BranchCost {
  const known = new Map<string, BranchCost>();
  return (size, logits) => {
    const key = `${size} ${logits}`;
    const cost = known.get(key) ?? branchCost(narrow(target, widthsOf(size), logits), progressive);
    known.set(key, cost);
    return cost;
  };
}

export interface SizingRequest {
  /** Sizes to choose from, smallest first: each as costly as the target narrowed to that width. */
  readonly grid: readonly number[];
  readonly devices: readonly { readonly profile: DeviceProfile; readonly classes: number; readonly workload: Workload }[];
  readonly costOf: (width: number, logits: number) => BranchCost;
  readonly limits: Limits;
  /** Whether every device runs all branches over its own samples. */
  readonly statisticsPass: boolean;
}

/** Widths by device, or which devices keep their limits at no width, each with the reason. */
export type Sizing =
  | { readonly type: "sized"; readonly widths: readonly number[]; readonly expected: readonly Expected[] }
  | { readonly type: "impossible"; readonly shortfalls: ReadonlyMap<number, Shortfall> };

/**
 * Everybody starts at the widest. While some devices break a limit, these go one step down; one that is at the narrowest already is weighed down by the
 * others' branches in its statistics pass, so the widest of them go one step down instead. At last whoever can go up again does, narrowest first.
 * At the result no device can be one step wider with the others as they are.
 */
export function sizeWidths({ grid, devices, costOf, limits, statisticsPass }: SizingRequest): Sizing {
  const steps = devices.map(() => grid.length - 1);
  const branch = (device: number): BranchCost => costOf(grid[steps[device]!]!, devices[device]!.classes + 1);
  const expectAll = (): Expected[] => {
    const branches = devices.map((_, i) => branch(i));
    const fleet = statisticsPass ? fleetCost(branches) : undefined;
    return devices.map(({ workload, profile }, i) => expectedCost(branches[i]!, workload, profile, fleet));
  };
  const broken = (expected: readonly Expected[]): Map<number, Shortfall> => {
    const found = new Map<number, Shortfall>();
    for (const [i, { profile, classes }] of devices.entries()) {
      const at = `at width ${grid[steps[i]!]} with ${classes} ${classes === 1 ? "class" : "classes"}`;
      const missing = shortfall(expected[i]!, profile, limits, at);
      if (missing) found.set(i, missing);
    }
    return found;
  };

  for (let short = broken(expectAll()); short.size > 0; short = broken(expectAll())) {
    const movable = [...short.keys()].filter((i) => steps[i]! > 0);
    if (movable.length > 0) {
      for (const i of movable) steps[i]!--;
      continue;
    }
    const widest = Math.max(...steps);
    if (widest === 0) return { type: "impossible", shortfalls: short };
    for (const i of steps.keys()) if (steps[i] === widest) steps[i]!--;
  }
  // Without the pass nobody's limits depend on others: whoever went down did so because one step up was too much.
  const open = new Set(statisticsPass ? steps.keys() : []);
  while (open.size > 0) {
    const narrowest = [...open].reduce((a, b) => (steps[b]! < steps[a]! ? b : a));
    if (steps[narrowest]! < grid.length - 1) {
      steps[narrowest]!++;
      if (broken(expectAll()).size === 0) continue;
      steps[narrowest]!--;
    }
    open.delete(narrowest);
  }
  return { type: "sized", widths: steps.map((step) => grid[step]!), expected: expectAll() };
}
