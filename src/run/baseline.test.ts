/** Whole baselines on a few glyphs: the run's fleet and samples, accounts, stops between rounds. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BaselineEvent, runBaseline } from "./baseline.ts";
import type { BaselineResult } from "./baselineResult.ts";
import { parseConfig } from "./config.ts";
import { loadData } from "./loadData.ts";
import { prepareRun } from "./prepare.ts";
import { buildTarget, fitOf } from "./target.ts";

const configWith = (baseline: object): ReturnType<typeof parseConfig> =>
  parseConfig({
    data: { name: "glyphs", trainCount: 120, testCount: 60 },
    target: { network: "tiny" },
    training: { epochs: 3, batchSize: 16, schedule: { learningRate: 0.05 } },
    fleet: { devices: ["a", "b", "c"].map((id) => ({ id, profile: "phone-mid" })), width: 0.2, redundancy: 2 },
    rho: 0.5,
    baseline,
  });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "baseline-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Method = Parameters<typeof runBaseline>[0]["method"];
const run = (name: string, method: Method, baseline: object = {}, more: object = {}): Promise<BaselineResult> =>
  runBaseline({ method, config: configWith(baseline), out: join(folder, name), dataDir: folder, ...more });

describe("runBaseline", () => {
  it("has the clients, samples and full-target charge of the run with the same configuration", async () => {
    const config = configWith({});
    const { train } = await loadData(config, { data: folder });
    const prepared = prepareRun(config, await buildTarget(config, fitOf(train)), train);
    const result = await run("clients", "heteroFl", { calibrate: false });
    expect(result.rounds).toBe(3);
    for (const [i, device] of prepared.devices.entries()) {
      expect(result.compute.byDevice[i]).toMatchObject({
        id: device.planned.id,
        rounds: 3,
        fullTargetMacs: device.expected.fullTargetMacs,
      });
    }
    const own = await run("own", "heteroFl", { calibrate: false, samples: "own" });
    expect(own.compute.fleetMacs).toBeLessThan(result.compute.fleetMacs);
    expect(own.compute.ratio.min).toBeGreaterThan(result.compute.ratio.min);
    expect(result.model.networks).toBe(1);
  });

  it("charges the full target's FedAvg with what the ratio compares to", async () => {
    const { compute } = await run("full", "fedAvg", { samples: "own", calibrate: false });
    expect(compute.ratio).toEqual({ min: 1, median: 1, max: 1 });
  });

  it("goes on after the last whole round and ends in the same model", async () => {
    const whole = await run("whole", "fedRolex");
    const controller = new AbortController();
    const onEvent = (event: BaselineEvent): void => {
      if (event.type === "round" && event.round === 2) controller.abort();
    };
    await expect(run("stopped", "fedRolex", {}, { signal: controller.signal, onEvent })).rejects.toMatchObject({ code: "interrupted" });
    const seen: number[] = [];
    const resumed = await run(
      "stopped",
      "fedRolex",
      {},
      { resume: true, onEvent: (e: BaselineEvent) => e.type === "round" && seen.push(e.round) },
    );
    expect(seen).toEqual([3, 4]);
    expect(resumed.model.sha256).toBe(whole.model.sha256);
    expect({ ...resumed.compute, curve: resumed.curve }).toEqual({ ...whole.compute, curve: whole.curve });
    // Finished, it is only evaluated again.
    expect((await run("stopped", "fedRolex", {}, { resume: true })).curve).toEqual(whole.curve);
  });

  it("keeps a one-round method's networks one by one, and writes what the pages name", async () => {
    const result = await run("slim", "averageOfSlim", { members: 2 });
    expect(result).toMatchObject({ format: "sheaf-baseline/1", method: "averageOfSlim", rounds: 1 });
    expect(result.model.networks).toBe(2);
    const kept = await readdir(join(folder, "slim/checkpoints"));
    for (const name of ["slim-1.safetensors", "slim-2.safetensors", "server.safetensors"]) expect(kept).toContain(name);
    expect(JSON.parse(await readFile(join(folder, "slim/result.json"), "utf8"))).toEqual(result);
    const { files } = JSON.parse(await readFile(join(folder, "slim/manifest.json"), "utf8")) as { files: object };
    expect(Object.keys(files).sort()).toEqual(["config.resolved.json", "metrics.csv", "model.onnx", "result.json"]);
  });

  it("refuses to go on with another method", async () => {
    await expect(run("slim", "fedAvg", { members: 2 }, { resume: true })).rejects.toMatchObject({ code: "config" });
  });
});
