/** Sizes sub-models: for each device the widest copy of the target that it can train within its memory, the deadline and the wished-for saving. */
import type { Progressive } from "../compile/progressive.ts";
import { narrow, type WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { formatBytes, formatDuration, formatRatio } from "../util/format.ts";
import { type BranchCost, branchCost, countedCost, type Expected, expectedCost, type FleetCost, type Workload } from "./cost.ts";
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
export function shortfall(expected: Expected, profile: DeviceProfile, limits: Limits, at: () => string): Shortfall | undefined {
  const { memoryBytes, seconds, ratio } = expected;
  if (memoryBytes > profile.memoryBytes) {
    return { limit: "memory", reason: `needs ${formatBytes(memoryBytes)} of memory ${at()} and has ${formatBytes(profile.memoryBytes)}` };
  }
  if (limits.deadlineSeconds !== undefined && seconds > limits.deadlineSeconds) {
    return {
      limit: "deadline",
      reason: `needs ${formatDuration(1000 * seconds)} ${at()} and the deadline is ${formatDuration(1000 * limits.deadlineSeconds)}`,
    };
  }
  if (limits.minimumRatio !== undefined && !(ratio >= limits.minimumRatio)) {
    return {
      limit: "ratio",
      reason: `saves ${formatRatio(ratio)} of the full target's computation ${at()} and ${formatRatio(limits.minimumRatio)} is asked for`,
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

/** Branches of a fleet by kind: many devices train sub-models of one size with as many classes. */
function openBranchCount(): { readonly change: (branch: BranchCost, by: 1 | -1) => void; readonly cost: () => FleetCost } {
  const counts = new Map<BranchCost, number>();
  return {
    change(branch, by) {
      const count = (counts.get(branch) ?? 0) + by;
      if (count > 0) counts.set(branch, count);
      else counts.delete(branch);
    },
    cost: () => countedCost(counts),
  };
}

/**
 * Everybody starts at the widest. While some devices break a limit, these go one step down; one that is at the narrowest already is weighed down by the
 * others' branches in its statistics pass, so the widest of them go one step down instead. At last whoever can go up again does, narrowest first.
 * At the result no device can be one step wider with the others as they are. `costOf` must give the same object for the same arguments.
 */
export function sizeWidths({ grid, devices, costOf, limits, statisticsPass }: SizingRequest): Sizing {
  const top = grid.length - 1;
  const steps = devices.map(() => top);
  const fleet = openBranchCount();
  const branch = (device: number): BranchCost => costOf(grid[steps[device]!]!, devices[device]!.classes + 1);
  for (const device of devices.keys()) fleet.change(branch(device), 1);
  const step = (device: number, by: 1 | -1): void => {
    fleet.change(branch(device), -1);
    steps[device]! += by;
    fleet.change(branch(device), 1);
  };
  const whole = (): FleetCost | undefined => (statisticsPass ? fleet.cost() : undefined);
  const expect = (device: number, total: FleetCost | undefined): Expected =>
    expectedCost(branch(device), devices[device]!.workload, devices[device]!.profile, total);
  const shortOf = (device: number, total: FleetCost | undefined): Shortfall | undefined => {
    const { profile, classes } = devices[device]!;
    const at = (): string => `at width ${grid[steps[device]!]} with ${classes} ${classes === 1 ? "class" : "classes"}`;
    return shortfall(expect(device, total), profile, limits, at);
  };
  const broken = (): Map<number, Shortfall> => {
    const total = whole();
    const found = new Map<number, Shortfall>();
    for (const device of devices.keys()) {
      const missing = shortOf(device, total);
      if (missing) found.set(device, missing);
    }
    return found;
  };

  for (let short = broken(); short.size > 0; short = broken()) {
    const movable = [...short.keys()].filter((i) => steps[i]! > 0);
    if (movable.length > 0) {
      for (const i of movable) step(i, -1);
      continue;
    }
    const widest = steps.reduce((most, each) => Math.max(most, each), 0);
    if (widest === 0) return { type: "impossible", shortfalls: short };
    for (const i of steps.keys()) if (steps[i] === widest) step(i, -1);
  }

  /** Whether everybody keeps the limits. */
  const fits = (): boolean => {
    const total = whole();
    return devices.every((_, device) => !shortOf(device, total));
  };
  /** One step up, where that suits the device itself. */
  const goesUp = (device: number): boolean => {
    step(device, 1);
    if (!shortOf(device, whole())) return true;
    step(device, -1);
    return false;
  };
  // Without the pass nobody's limits depend on others: whoever went down did so because one step up was too much.
  for (let level = 0; statisticsPass && level < top; level++) {
    const waiting = [...steps.keys()].filter((device) => steps[device] === level);
    // What is too much for somebody else is too much from then on, whoever of the same number of classes asks for it.
    const tooMuch = new Set<number>();
    // All others are looked at once for so many that went up together; where that is too much, for fewer.
    let together = 1;
    for (let i = 0; i < waiting.length; ) {
      const tried = waiting.slice(i, i + together);
      const raised = tried.filter((device) => !tooMuch.has(devices[device]!.classes) && goesUp(device));
      if (raised.length === 0 || fits()) {
        i += tried.length;
        together *= 2;
        continue;
      }
      for (const device of raised) step(device, -1);
      if (tried.length === 1) {
        tooMuch.add(devices[tried[0]!]!.classes);
        i++;
      } else together = Math.max(1, Math.floor(together / 2));
    }
  }
  const total = whole();
  return { type: "sized", widths: steps.map((each) => grid[each]!), expected: steps.map((_, device) => expect(device, total)) };
}
