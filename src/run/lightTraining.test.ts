/** Whole runs of what spares computation in local training: the hardest share, and smaller images first. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseConfig, type RunConfig } from "./config.ts";
import type { RunResult } from "./result.ts";
import { run } from "./run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "light-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (fleet: object, training: object): RunConfig =>
  parseConfig({
    data: { name: "glyphs", trainCount: 160, testCount: 40 },
    target: { network: "tiny" },
    training: { epochs: 2, batchSize: 8, ...training },
    fleet: { devices: ["a", "b"].map((id) => ({ id, profile: "phone-mid" })), width: 0.2, ...fleet },
    rho: 0.5,
    settle: { passes: 1 },
    heads: { lostSets: 0 },
    checkpointSeconds: 0.001,
    workers: 1,
  });
const light = configOf({ hardShare: 0.5 }, { progressive: { epochs: 0.5 } });
const runWith = (name: string, config: RunConfig, more: object = {}): Promise<RunResult> =>
  run({ config, out: join(folder, name), dataDir: folder, ...more });

it("spares what it says, in devices and in the central control, and reports it", async () => {
  const [plain, spared] = [await runWith("plain", configOf({}, {})), await runWith("spared", light)];
  for (const [i, device] of spared.compute.byDevice.entries()) {
    const whole = plain.compute.byDevice[i] as typeof device;
    // 1 + 3 / 2 of 3 forwards; half of the epochs at about a quarter of the MACs.
    expect(device.trainOwnMacs / whole.trainOwnMacs).toBeGreaterThan((2.5 / 3) * 0.62);
    expect(device.trainOwnMacs / whole.trainOwnMacs).toBeLessThan((2.5 / 3) * 0.64);
    expect([device.settleMacs, device.statisticsMacs]).toEqual([whole.settleMacs, whole.statisticsMacs]);
    expect(device.fullTargetMacs / whole.fullTargetMacs).toBeCloseTo(spared.compute.centralMacs / plain.compute.centralMacs, 9);
  }
  const report = await readFile(join(folder, "spared", "report.html"), "utf8");
  expect(report).toContain("1 of 2 epochs on images of 0.5 times the size");
  expect(report).toContain("on the hardest 0.5 of their samples");
});

it("interrupted in the midst of it, ends in the same model", async () => {
  const controller = new AbortController();
  const onEvent = ({ type }: { type: string }): void => {
    if (type === "progress") controller.abort();
  };
  await expect(runWith("resumed", light, { signal: controller.signal, onEvent })).rejects.toMatchObject({ code: "interrupted" });
  const resumed = await runWith("resumed", light, { resume: true });
  const whole = await runWith("whole", light);
  expect(resumed.modelSha256).toBe(whole.modelSha256);
});
