import { expect, it } from "vitest";
import { type Dataset, sharedBytes, sharedLabels } from "../data/dataset.ts";
import { layOut } from "../harvest/harvested.ts";
import { statisticsBytes } from "../harvest/statistics.ts";
import { statisticsMacs } from "../harvest/statisticsPass.ts";
import { buildModel } from "../models/table.ts";
import { networkCost } from "../network/shapes.ts";
import { parseConfig } from "./config.ts";
import { prepareRun } from "./prepare.ts";
import { accountOf } from "./result.ts";
import { fitOf } from "./target.ts";

/** Ten classes of 40 blank samples: costs do not look at pixels. */
function blankSet(): Dataset {
  const labels = sharedLabels(400).map((_, i) => i % 10);
  const classNames = Array.from({ length: 10 }, (_, c) => `class${c}`);
  const shape = { channels: 3, height: 16, width: 16 };
  const store = { type: "memory", values: sharedBytes(400 * 768) } as const;
  const provenance = { source: "blank", sha256: "0" };
  return { name: "blank", classNames, shape, labels, store, mean: [0, 0, 0], std: [1, 1, 1], provenance };
}

it.each(["once", "all"] as const)("charges each device with what the harvest really makes it do, sums %s, as was planned", (sums) => {
  const train = blankSet();
  const epochs = 3;
  const config = parseConfig({
    target: { network: "tiny" },
    training: { epochs, batchSize: 8 },
    fleet: { width: 0.5, redundancy: 2 },
    rho: 0.3,
    heads: { sums },
  });
  const target = buildModel("tiny", fitOf(train).input, 10);
  const { devices } = prepareRun(config, target, train);
  const layout = layOut(devices.map((d) => d.subModel));
  const costs = devices.map((d) => networkCost(d.subModel.network));
  const weightBytes = costs.map((c) => 4 * (c.parameters + c.stateElements));
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const branchMacs = sum(costs.map((c) => c.macs));
  expect(devices.length).toBe(5);
  expect(sum(devices.map((d) => d.statistics.length))).toBe(sums === "once" ? 400 : sum(devices.map((d) => d.own.length)));
  devices.forEach((device, i) => {
    const [own, background] = [device.own.length, device.background.length];
    const account = accountOf(device);
    const macs = costs[i]?.macs ?? 0;
    // A training step is three forward passes; the pass is one, of all branches, and the products of its sums.
    expect(account.trainOwnMacs).toBe(3 * macs * epochs * own);
    expect(account.trainBackgroundMacs).toBe(3 * macs * epochs * background);
    expect(account.statisticsMacs).toBe(device.statistics.length * (branchMacs + statisticsMacs(layout, 10)));
    expect(device.planned.expected).toEqual(device.expected);
    expect(account.totalMacs).toBe(account.trainOwnMacs + account.trainBackgroundMacs + account.statisticsMacs);
    const full = 3 * networkCost(target).macs * epochs;
    expect(account.ratio).toBeCloseTo((full * own) / account.totalMacs, 10);
    expect(account.ratioOnSameSamples).toBeCloseTo((full * (own + background)) / account.totalMacs, 10);
    // Down: every branch once, its own among them. Up: its weights and its sums.
    expect(account.bytesDown).toBe(sum(weightBytes));
    expect(account.bytesUp).toBe((weightBytes[i] ?? 0) + statisticsBytes(layout, 10));
  });
});
