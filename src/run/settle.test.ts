/** Whole runs with settle passes on a few glyphs. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SheafError } from "../util/errors.ts";
import { parseConfig } from "./config.ts";
import { readFinished } from "./directory.ts";
import { exportPart } from "./exportRun.ts";
import type { RunEvent } from "./options.ts";
import type { RunResult } from "./result.ts";
import { run } from "./run.ts";

const devices = ["a", "b", "c"];

const configWith = (settle: object): ReturnType<typeof parseConfig> =>
  parseConfig({
    data: { name: "glyphs", trainCount: 120, testCount: 60 },
    target: { network: "tiny" },
    training: { epochs: 2, batchSize: 16, schedule: { learningRate: 0.05 } },
    fleet: { devices: devices.map((id) => ({ id, profile: "phone-mid" })), width: 0.2, redundancy: 2 },
    rho: 0.5,
    controls: { central: false, slim: false },
    settle,
  });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "settle-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const runWith = (name: string, settle: object, more: object = {}): Promise<RunResult> =>
  run({ config: configWith(settle), out: join(folder, name), dataDir: folder, ...more });

const weightsOf = async (name: string, id: string): Promise<unknown> => {
  const found = await readFinished(join(folder, name), id);
  return found && [...found.tensors].map(([key, { data }]) => [key, Array.from(data as Float32Array)]);
};

describe("a run with settle passes", () => {
  const settle = { passes: 2, rho: 0.25, skip: { b: [1], c: [1, 2] } };
  let plain: RunResult;
  let settled: RunResult;
  beforeAll(async () => {
    plain = await runWith("plain", {});
    settled = await runWith("settled", settle);
  });

  it("says how accurate it is after each pass, from the unsettled branches to the model itself", () => {
    expect(plain.settlePasses).toBeUndefined();
    expect(settled.settlePasses).toEqual([
      { pass: 0, H0: plain.accuracy.H0, H2: plain.accuracy.H2, skipped: [] },
      { pass: 1, H0: expect.any(Number), H2: expect.any(Number), skipped: ["b", "c"] },
      { pass: 2, H0: settled.accuracy.H0, H2: settled.accuracy.H2, skipped: ["c"] },
    ]);
    expect(settled.modelSha256).not.toBe(plain.modelSha256);
  });

  it("leaves the weights of a device that skips a pass as they are", async () => {
    for (const id of devices) expect(await weightsOf("settled", id)).toEqual(await weightsOf("plain", id));
    expect((await readdir(join(folder, "settled", "checkpoints"))).filter((name) => /settle\d+\.safetensors/.test(name)).sort()).toEqual([
      "a.settle1.safetensors",
      "a.settle2.safetensors",
      "b.settle2.safetensors",
    ]);
    expect(await weightsOf("settled", "a.settle1")).not.toEqual(await weightsOf("settled", "a"));
  });

  it("charges each device with the passes that it took part in, and nobody without passes", () => {
    const macs = (result: RunResult): number[] => result.compute.byDevice.map(({ settleMacs }) => settleMacs);
    expect(macs(plain)).toEqual([0, 0, 0]);
    const [a = 0, b = 0, c] = macs(settled);
    expect(c).toBe(0);
    expect(b).toBeGreaterThan(0);
    const once = settled.compute.byDevice.map((account, i) => ({
      ...account,
      more: account.bytesUp - (plain.compute.byDevice[i]?.bytesUp ?? 0),
    }));
    expect(once[0]?.more).toBe(2 * (once[1]?.more ?? 0));
    expect(once[2]?.more).toBe(0);
    expect(a).toBeGreaterThan(1.5 * b);
    for (const account of settled.compute.byDevice) {
      expect(account.totalMacs).toBe(
        account.trainOwnMacs + account.trainBackgroundMacs + account.statisticsMacs + account.warmStartMacs + account.settleMacs,
      );
    }
  });

  it("exports the settled branches", async () => {
    const part = async (id: string): Promise<Uint8Array> => (await exportPart(join(folder, "settled"), id, "onnx", folder)).bytes;
    expect(Buffer.from(await part("H2")).equals(await readFile(join(folder, "settled", "model.onnx")))).toBe(true);
    const before = (await exportPart(join(folder, "plain"), "a", "onnx", folder)).bytes;
    expect(Buffer.from(await part("a")).equals(before)).toBe(false);
    const untouched = (await exportPart(join(folder, "plain"), "c", "onnx", folder)).bytes;
    expect(Buffer.from(await part("c")).equals(untouched)).toBe(true);
  });

  it.each<[string, (event: RunEvent) => boolean]>([
    ["in a pass", (event) => event.type === "progress" && event.job === "a.settle2"],
    ["between two passes", (event) => event.type === "evaluated" && event.id === "H0, pass 1"],
    ["after a device's turn", (event) => event.type === "trained" && event.job === "a.settle1"],
  ])("stopped %s and resumed, ends in the same bytes", async (where, isMoment) => {
    const controller = new AbortController();
    const stopAt = (event: RunEvent): void => {
      if (isMoment(event)) controller.abort();
    };
    const name = `stopped ${where}`;
    await expect(runWith(name, settle, { signal: controller.signal, onEvent: stopAt })).rejects.toMatchObject({ code: "interrupted" });
    const resumed = await runWith(name, settle, { resume: true });
    expect(resumed.modelSha256).toBe(settled.modelSha256);
    expect(resumed.settlePasses).toEqual(settled.settlePasses);
  });

  it("lets devices train together against the last pass, with another result than in turn", async () => {
    const together = await runWith("together", { passes: 1, order: "together" });
    const inTurn = await runWith("in turn", { passes: 1 });
    expect(together.modelSha256).not.toBe(inTurn.modelSha256);
    const changed = await Promise.all(
      devices.map(
        async (id) =>
          JSON.stringify(await weightsOf("together", `${id}.settle1`)) !== JSON.stringify(await weightsOf("in turn", `${id}.settle1`)),
      ),
    );
    // Whoever comes first sees the same in both.
    expect(changed.filter((different) => !different)).toHaveLength(1);
  });

  it("refuses more background than there is, unknown devices and passes", async () => {
    const refusal = async (settings: object): Promise<unknown> => runWith("refused", settings).catch((error: unknown) => error);
    for (const [settings, message] of [
      [{ passes: 1, rho: 0.9 }, /settle.rho is 0.9/],
      [{ passes: 1, skip: { z: [1] } }, /"z", which is no device of the fleet; its devices are a, b, c/],
      [{ passes: 1, skip: { a: [2] } }, /skip pass 2, but there are 1/],
    ] as const) {
      const error = await refusal(settings);
      expect(error).toBeInstanceOf(SheafError);
      expect((error as SheafError).message).toMatch(message);
    }
  });
});
