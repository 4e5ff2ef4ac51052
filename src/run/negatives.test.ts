import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { initialParameters } from "../compile/initialize.ts";
import { type Dataset, sharedBytes, sharedLabels } from "../data/dataset.ts";
import { logPriors } from "../harvest/logProbabilityHeads.ts";
import { buildModel } from "../models/table.ts";
import { parseConfig } from "./config.ts";
import { passGate } from "./harvest.ts";
import { describeNegatives } from "./negatives.ts";
import { type PreparedRun, prepareRun } from "./prepare.ts";
import { accountOf, type RunResult } from "./result.ts";
import { run } from "./run.ts";
import { fitOf } from "./target.ts";

const classes = 6;
const labels = sharedLabels(600).map((_, i) => i % classes);
const train: Dataset = {
  name: "blank",
  classNames: Array.from({ length: classes }, (_, c) => `class${c}`),
  shape: { channels: 1, height: 8, width: 8 },
  labels,
  store: { type: "memory", values: sharedBytes(labels.length * 64) },
  mean: [0],
  std: [1],
  provenance: { source: "blank", sha256: "0" },
};
const config = (more: Record<string, unknown>): ReturnType<typeof parseConfig> =>
  parseConfig({ target: { network: "tiny" }, fleet: { width: 0.5 }, rho: 0.2, ...more });
const prepare = (more: Record<string, unknown>): PreparedRun =>
  prepareRun(config(more), buildModel("tiny", fitOf(train).input, classes), train);
const jobOf = (prepared: PreparedRun, id: string): PreparedRun["jobs"][number] =>
  prepared.jobs.find((job) => job.id === id) as PreparedRun["jobs"][number];

const partitions = [{ type: "byClass" }, { type: "byClass", overlap: "split" }, { type: "dirichlet", alpha: 1 }, { type: "iid" }];

describe("negatives", () => {
  it.each(partitions)("from a public pool are nobody's own, and no more than rho asks for, %o", (partition) => {
    const { devices, plan } = prepare({ negatives: "pool", poolShare: 0.3, partition });
    const own = new Set(devices.flatMap((device) => [...device.own]));
    for (const { background, subModel, made } of devices) {
      expect(background.length).toBeGreaterThan(0);
      expect(made.length).toBe(0);
      for (const i of background) {
        expect(own.has(i)).toBe(false);
        expect(subModel.taskSet).not.toContain(labels[i]);
      }
      // 30 of each class are public; rho asks for 20 of each class that is not owned.
      expect(Math.abs(background.length - 20 * (classes - subModel.taskSet.length))).toBeLessThanOrEqual(1);
    }
    if (partition.type === "byClass") expect(own.size).toBe(420);
    expect(own.size).toBeLessThanOrEqual(420);
    for (const [i, { expected }] of plan.devices.entries()) expect(expected.bytesDown).toBe(devices[i]?.expected.bytesDown);
  });

  it("of a pool smaller than rho asks for are the whole pool, and their bytes are charged", () => {
    const pooled = prepare({ negatives: "pool", poolShare: 0.05, rho: 1 });
    const local = prepare({ negatives: "local" });
    for (const [i, device] of pooled.devices.entries()) {
      const { background, subModel, expected, poolBytes } = device;
      expect(background.length).toBe(5 * (classes - subModel.taskSet.length));
      expect(poolBytes).toBe(64 * background.length);
      expect(expected.bytesDown - (local.devices[i]?.expected.bytesDown ?? 0)).toBe(poolBytes);
      expect(accountOf(device).trainBackgroundMacs / accountOf(device).trainOwnMacs).toBeCloseTo(background.length / device.own.length, 9);
    }
  });

  it.each(partitions)("made from own samples are as many as local ones would be, and cost as much, %o", (partition) => {
    const local = prepare({ partition });
    const prepared = prepare({ negatives: "synthetic", partition });
    for (const [i, device] of prepared.devices.entries()) {
      const { own, background, made, expected, subModel } = device;
      expect(background.length).toBe(0);
      expect(made.length).toBe(local.devices[i]?.background.length);
      expect([...made].every((sample) => own.includes(sample))).toBe(true);
      // Each own sample is taken as often as any other, but for one.
      const uses = [...own].map((sample) => made.filter((source) => source === sample).length);
      expect(Math.max(...uses) - Math.min(...uses)).toBeLessThanOrEqual(1);
      expect(expected.compute).toEqual(local.devices[i]?.expected.compute);
      const job = jobOf(prepared, subModel.device);
      expect(job.dataset.labels.length).toBe(600 + made.length);
      expect([...job.labels].filter((label) => label === subModel.taskSet.length)).toHaveLength(made.length);
      expect(job.labels.subarray(own.length).every((label) => label === subModel.taskSet.length)).toBe(true);
    }
  });

  it("made from own samples count as other in the priors of a branch", () => {
    const prepared = prepare({ negatives: "synthetic" });
    const { harvested } = passGate(prepared, (id) => initialParameters(jobOf(prepared, id).network, 1), labels, classes);
    const [first] = harvested;
    const { own, made, subModel } = prepared.devices[0] as PreparedRun["devices"][number];
    const other = logPriors([first as (typeof harvested)[number]]).at(-1) as number;
    expect(Math.exp(other)).toBeCloseTo((made.length + 1) / (own.length + made.length + subModel.taskSet.length + 1), 9);
  });

  it("weigh less in the priors of a branch that was trained with logit adjustment", () => {
    const priors = (tau: number): number[] => {
      const prepared = prepare({ training: { logitAdjustment: tau } });
      expect(jobOf(prepared, prepared.devices[0]?.subModel.device ?? "").settings.logitAdjustment ?? 0).toBe(tau);
      const { harvested } = passGate(prepared, (id) => initialParameters(jobOf(prepared, id).network, 1), labels, classes);
      return [...logPriors(harvested)];
    };
    const plain = priors(0);
    priors(0.25).forEach((prior, i) => {
      expect(prior).toBeCloseTo(0.75 * (plain[i] as number), 12);
    });
    for (const prior of priors(1)) expect(prior).toBeCloseTo(0, 12);
  });

  it("can be none", () => {
    const prepared = prepare({ negatives: "none" });
    for (const { background, made, expected } of prepared.devices) {
      expect(background.length + made.length).toBe(0);
      expect(expected.compute.background).toBe(0);
    }
    expect(prepared.plan.devices.every(({ backgroundSamples }) => backgroundSamples === 0)).toBe(true);
  });

  it("are described", () => {
    expect(describeNegatives(config({ negatives: "pool" }))).toContain("public pool of 10 %");
    expect(describeNegatives(config({}))).toBe("20 % of the other classes' samples");
  });
});

describe("runs on a few glyphs", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "negatives-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const runWith = (negatives: string): Promise<RunResult> =>
    run({
      config: parseConfig({
        data: { name: "glyphs", trainCount: 120, testCount: 40 },
        target: { network: "tiny" },
        training: { epochs: 1, batchSize: 16 },
        fleet: { devices: ["a", "b"].map((id) => ({ id, profile: "phone-mid" })), width: 0.2 },
        rho: 0.5,
        negatives,
        poolShare: 0.2,
        heads: { lostSets: 0 },
        controls: { central: false, slim: false },
      }),
      out: join(folder, negatives),
      dataDir: folder,
    });
  const weightBytes = new Map<string, number>();
  const described = {
    local: "50 % of the other",
    pool: "a public pool of 20 %",
    synthetic: "made from its own",
    none: "no samples but its own",
  };

  it.each(["local", "pool", "synthetic", "none"] as const)("train on negatives from %s, charge them and say so", async (source) => {
    const { negatives, compute, bytes } = await runWith(source);
    expect(negatives).toMatchObject({ source, rho: 0.5 });
    const background = compute.byDevice.map(({ trainBackgroundMacs }) => trainBackgroundMacs);
    if (source === "none") {
      expect([negatives.samples, ...background]).toEqual([0, 0, 0]);
    } else {
      expect(negatives.samples).toBeGreaterThan(0);
      for (const macs of background) expect(macs).toBeGreaterThan(0);
    }
    // A glyph is 32x32 pixels of three bytes, and only a pool is downloaded.
    const pooled = source === "pool" ? 3072 * negatives.samples : 0;
    weightBytes.set(source, bytes.down - pooled);
    const text = (file: string): Promise<string> => readFile(join(folder, source, file), "utf8");
    expect(await text("report.html")).toContain(described[source]);
    expect(await text("MODEL_CARD.md")).toContain(described[source]);
  });

  it("download the same weights, whatever else they download", () => {
    expect(weightBytes.size).toBe(4);
    expect(new Set(weightBytes.values()).size).toBe(1);
  });
});
