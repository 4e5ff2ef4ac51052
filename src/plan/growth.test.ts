/** Planning a large fleet takes about as much for each device as planning a small one: counted in looks at devices, not in time. */
import { expect, it } from "vitest";
import { models } from "../models/table.ts";
import type { NetworkInput } from "../network/network.ts";
import { random } from "../util/random.ts";
import { catalog } from "./catalog.ts";
import { separateClasses } from "./codeSearch.ts";
import type { BranchCost } from "./cost.ts";
import type { DeviceProfile } from "./device.ts";
import { emptyOwnership, setOwned } from "./ownership.ts";
import { planFleet } from "./plan.ts";
import type { PlanRequest } from "./request.ts";
import { sizeWidths } from "./widths.ts";

const input: NetworkInput = { channels: 1, height: 8, width: 8, mean: [0], std: [1] };
const classCount = 4;

interface Case {
  readonly request: (devices: number) => Partial<PlanRequest>;
  /** What a device has; every fifth is the weak one. */
  readonly profile: (isWeak: boolean) => DeviceProfile;
  readonly planned: (devices: number) => number;
}

const weakMemory = (isWeak: boolean): DeviceProfile => ({ ...catalog.laptop, ...(isWeak ? { memoryBytes: 1e6 } : {}) });

const cases: Readonly<Record<string, Case>> = {
  "that leaves out many devices": {
    request: () => ({ statisticsPass: false, width: 0.25, classesPerDevice: 2 }),
    profile: weakMemory,
    planned: (n) => 0.8 * n,
  },
  "that leaves out many devices whose limits depend on others": {
    request: () => ({ width: 0.25 }),
    profile: weakMemory,
    planned: (n) => 0.8 * n,
  },
  "of more devices than disjoint groups employ": {
    request: () => ({ disjoint: true, statisticsPass: false }),
    profile: () => catalog.laptop,
    planned: () => classCount,
  },
};

/** Looks at the memory of a fleet's devices, for each of them, in making a plan. */
function looks({ request, profile, planned }: Case, count: number): number {
  let looked = 0;
  const devices = Array.from({ length: count }, (_, i) => {
    const { memoryBytes, ...rest } = profile(i % 5 === 4);
    const counting = {
      ...rest,
      get memoryBytes() {
        looked++;
        return memoryBytes;
      },
    };
    return { id: `d${i}`, profile: counting };
  });
  const plan = planFleet({
    target: models.tiny.build(input, classCount),
    classCount,
    classCounts: Array(classCount).fill(500),
    devices,
    redundancy: 1,
    rho: 0.25,
    epochs: 1,
    batchSize: 16,
    seed: 1,
    ...request(count),
  });
  expect(plan.devices).toHaveLength(planned(count));
  expect(plan.devices.length + plan.excluded.length).toBe(count);
  return looked / count;
}

it.each(Object.entries(cases))("a plan %s looks at each device as often in a fleet of 600 as in one of 150", (_, each) => {
  expect(looks(each, 600)).toBeLessThan(2 * looks(each, 150));
});

it("sizes branches that weigh on each other with as many looks at each device in a fleet of 3200 as in one of 100", () => {
  const sized = (count: number): { readonly looked: number; readonly widths: readonly number[] } => {
    let looked = 0;
    const ownSamples = 1000;
    const workload = { ownSamples, backgroundSamples: 0, epochs: 1, batchSize: 1, targetMacs: 1e6, classCount };
    const devices = Array.from({ length: count }, (_, i) => {
      const { macsPerSecond, ...rest } = { ...catalog.laptop, macsPerSecond: i % 5 === 4 ? 1e8 : 3e8 };
      const counting = {
        ...rest,
        get macsPerSecond() {
          looked++;
          return macsPerSecond;
        },
      };
      return { profile: counting, classes: 2 - (i % 2), workload };
    });
    const none = { parameters: 0, weightBytes: 0, stateElements: 0, activationBytes: 0, trainingBytes: 0, features: 0, inputElements: 0 };
    const costs = new Map<string, BranchCost>();
    const costOf = (width: number, logits: number): BranchCost => {
      const key = `${width} ${logits}`;
      const macs = Math.round(1e6 * width * (1 + logits / 10));
      const cost = costs.get(key) ?? { ...none, macs, smallMacs: macs, logits: 0 };
      costs.set(key, cost);
      return cost;
    };
    const grid = Array.from({ length: 20 }, (_, i) => (i + 1) / 20);
    // The slowest can run branches of 0.4 of the target's cost over their samples.
    const limits = { deadlineSeconds: (count * ownSamples * 0.4e6) / 1e8 };
    const sizing = sizeWidths({ grid, devices, costOf, limits, statisticsPass: true });
    return { looked: looked / count, widths: sizing.type === "sized" ? sizing.widths : [] };
  };
  const [small, large] = [sized(100), sized(3200)];
  expect(small.widths).toHaveLength(100);
  expect(new Set(small.widths).size).toBeGreaterThan(1);
  expect(large.looked).toBeLessThan(3 * small.looked);
});

it("does not search for a better code where no two classes are near each other", () => {
  const devices = 3000;
  const ownership = emptyOwnership(classCount, Array(devices).fill(1));
  for (let device = 0; device < devices; device++) setOwned(ownership, device, (device + Math.floor(device / 7)) % classCount, true);
  const { bits } = ownership;
  const before = bits.slice();
  let draws = 0;
  const source = random(1, "test");
  separateClasses(ownership, 1, { ...source, below: (limit) => ++draws && source.below(limit) });
  expect(draws).toBe(0);
  expect(bits).toEqual(before);
});
