import { describe, expect, it } from "vitest";
import { loadDataset } from "../data/load.node.ts";
import { parseConfig } from "./config.ts";
import { dataSetReport, inspectData } from "./inspect.ts";
import type { LoadedData } from "./loadData.ts";

const load = async (trainCount: number): Promise<LoadedData> => ({
  ...(await loadDataset("glyphs", { trainCount, testCount: 50 })),
  configName: "glyphs",
  evaluatedOn: "test",
  note: undefined,
});
const config = (more: object = {}): ReturnType<typeof parseConfig> =>
  parseConfig({ data: { name: "glyphs" }, target: { network: "tiny" }, ...more });
const sum = (counts: readonly number[]): number => counts.reduce((total, each) => total + each, 0);

describe("inspectData", () => {
  it("says what each device of a fleet would hold: with dirichlet every sample has one holder, as own or left at home", async () => {
    const data = await load(400);
    const { devices, dataSet, partition, noPlan, skipped } = await inspectData(
      config({ partition: { type: "dirichlet", alpha: 1 }, rho: 1 }),
      data,
    );
    expect(noPlan).toBeUndefined();
    expect(partition).toBe("dirichlet, alpha 1");
    expect(devices).toHaveLength(5);
    expect(skipped).toEqual({ count: 0, first: [] });
    // With rho 1 everything that a device holds is own or background, so that the classes add up.
    const held = dataSet.classes.map((_, c) => sum(devices.map(({ holdings }) => (holdings.own[c] ?? 0) + (holdings.background[c] ?? 0))));
    expect(held).toEqual(dataSet.counts?.train);
  });

  it("without a plan says why, and shows the rest", async () => {
    const { devices, dataSet, noPlan } = await inspectData(config({ fleet: { deadlineSeconds: 1e-9 } }), await load(100));
    expect(noPlan).toMatch(/deadline/);
    expect(devices).toEqual([]);
    expect(sum(dataSet.counts?.train ?? [])).toBe(100);
    expect(dataSet.samples?.strips).toHaveLength(10);
  });

  it("with a target that does not fit the data says why, and shows the rest", async () => {
    const { noPlan } = await inspectData(config({ target: { network: "no-such-network" } }), await load(100));
    expect(noPlan).toMatch(/Unknown network/);
  });
});

describe("dataSetReport", () => {
  it("keeps its pictures small and is the same each time", async () => {
    const data = await load(400);
    const report = await dataSetReport(data);
    expect(sum(report.samples?.strips.map(({ image }) => image.length) ?? [])).toBeLessThan(150_000);
    expect(report.samples).toMatchObject({ kind: "image", sampleWidth: 32, sampleHeight: 32 });
    expect(await dataSetReport(data)).toEqual(report);
  });
});
