/** How everything that trains begins: rates of a module's network, and what a run that goes on was begun with. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasWebGpu } from "../runtime/session.node.ts";
import { runBaseline } from "./baseline.ts";
import { parseConfig, type RunConfig } from "./config.ts";
import { runFiles } from "./directory.ts";
import { type OpenedRun, openRun } from "./openRun.ts";
import type { RunOptions } from "./options.ts";
import { readSavedConfig } from "./savedConfig.ts";

let folder: string;
let network: string;
const gpu = await hasWebGpu();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-open-"));
  network = join(folder, "mine.ts");
  const layers =
    '[{ name: "flat", type: "flatten", inputs: ["input"] }, { name: "fc1", type: "linear", inputs: ["flat"], outFeatures: 8, bias: true }, ' +
    '{ name: "relu", type: "relu", inputs: ["fc1"] }, { name: "fc2", type: "linear", inputs: ["relu"], outFeatures: classes, bias: true }]';
  await writeFile(
    network,
    `export default { name: "mine", learningRate: { wide: 0.03, narrow: 0.07 }, build(input: unknown, classes: number) { return { name: "mine", input, layers: ${layers} }; } };`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (target: string, training: object = {}, more: object = {}): RunConfig =>
  parseConfig({
    data: { name: "glyphs", trainCount: 60, testCount: 30 },
    target: { network: target },
    training: { epochs: 1, batchSize: 16, ...training },
    fleet: { devices: ["a", "b"].map((id) => ({ id, profile: "phone-mid" })), width: 0.5, redundancy: 2 },
    ...more,
  });
const open = (name: string, config: RunConfig, more: Partial<RunOptions> = {}): Promise<OpenedRun> =>
  openRun({ config, out: join(folder, name), dataDir: folder, ...more });

/** A directory that a run was begun in, with this provider. */
async function begun(name: string, provider: string | undefined): Promise<void> {
  await mkdir(join(folder, name), { recursive: true });
  const training = provider === undefined ? {} : { provider };
  await writeFile(join(folder, name, runFiles.config), JSON.stringify({ kind: "run", training: { schedule: {}, ...training } }));
}

describe("openRun", () => {
  it("settles the data set's name, and tells of the data once", async () => {
    const events: unknown[] = [];
    const { config, data } = await open("named", configOf("tiny"), { onEvent: (event) => events.push(event) });
    expect(config.data.name).toBe("glyphs");
    expect(events).toEqual([expect.objectContaining({ type: "data", name: "glyphs", train: 60, test: 30, evaluatedOn: data.evaluatedOn })]);
  });

  it("takes the rates of a module's network where the configuration names none", async () => {
    const { config } = await open("rates", configOf(network));
    expect(config.training.schedule.learningRate).toBe(0.03);
    expect(config.fleet.learningRate).toBe(0.07);
    const own = await open("own", configOf(network, { schedule: { learningRate: 0.5 } }));
    expect(own.config.training.schedule.learningRate).toBe(0.5);
    expect(own.config.fleet.learningRate).toBeUndefined();
  });

  it("begins a baseline with the same rates as a run", async () => {
    const out = join(folder, "baseline");
    await runBaseline({ method: "fedAvg", config: configOf(network, {}, { baseline: { calibrate: false } }), out, dataDir: folder });
    const saved = (await readSavedConfig(out))?.settings as { readonly training: object; readonly fleet: object };
    expect(saved.training).toMatchObject({ schedule: { learningRate: 0.03 } });
    expect(saved.fleet).toMatchObject({ learningRate: 0.07 });
  });

  it("leaves what trains to the processor where a run was begun on it, whatever there is today", async () => {
    await begun("onCpu", undefined);
    const { config } = await open("onCpu", configOf("tiny", { provider: "auto" }), { resume: true });
    expect(config.training.provider).toBeUndefined();
  });

  it.skipIf(gpu)("refuses a GPU that is not there, and to go on without the one that a run was begun on", async () => {
    await expect(open("asked", configOf("tiny", { provider: "webgpu" }))).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/training\.provider is "webgpu".*leave it out/),
    });
    await begun("onGpu", "webgpu");
    await expect(open("onGpu", configOf("tiny", { provider: "auto" }), { resume: true })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/onGpu was begun on a GPU.*another --out/),
    });
  });

  it("refuses a damaged configuration of the directory before anything else is decided", async () => {
    await mkdir(join(folder, "damaged"), { recursive: true });
    await writeFile(join(folder, "damaged", runFiles.config), "{");
    await expect(open("damaged", configOf("tiny", { provider: "auto" }), { resume: true })).rejects.toMatchObject({ code: "corrupt" });
  });
});
