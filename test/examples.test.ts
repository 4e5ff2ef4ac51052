/** Every example as a user runs it: in a process of its own, over the built package; its types too. Needs `npm run build`, which `npm test` does first. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const execute = promisify(execFile);
const node = async (...words: readonly string[]): Promise<string> =>
  (await execute(process.execPath, [...words], { cwd: root, env: { ...process.env, NO_COLOR: "1" } })).stdout;
const sheaf = (...words: readonly string[]): Promise<string> => node("dist/cli/main.js", ...words);

/** All numbers that follow a phrase, in order. */
const numbersAfter = (text: string, phrase: string): number[] =>
  [...text.matchAll(new RegExp(`${phrase}\\s+([\\d.]+)`, "g"))].map((match) => Number(match[1]));

let ownNetwork: Promise<string> | undefined;
/** Run once for both tests that read it. */
const ownNetworkOutput = (): Promise<string> => {
  ownNetwork ??= node("examples/ownNetwork.mjs");
  return ownNetwork;
};

let folder = "";
beforeAll(async () => {
  if (!existsSync(join(root, "dist/cli/main.js"))) throw new Error("dist/ is not built; run npm run build before these tests.");
  folder = await mkdtemp(join(tmpdir(), "sheaf-examples-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("examples", () => {
  it("ownData.mjs: plans, trains, harvests and glues stripes into a model that tells them apart", async () => {
    const model = join(folder, "stripes.onnx");
    const output = await node("examples/ownData.mjs", model);
    expect(output).toContain("Every class has 2 owners");
    const accuracies = numbersAfter(output, "test accuracy");
    expect(accuracies).toHaveLength(3);
    for (const accuracy of accuracies) expect(accuracy).toBeGreaterThan(80);
    expect(existsSync(model)).toBe(true);
  });

  it("ownNetwork.mjs: a graph with add and concat learns", async () => {
    const output = await ownNetworkOutput();
    expect(output).toContain("both 32x8x8");
    const losses = numbersAfter(output, "loss");
    expect(losses.at(-1)).toBeLessThan(0.95 * (losses[0] ?? 0));
    expect(numbersAfter(output, "test accuracy")[0]).toBeGreaterThan(15);
  });

  it("deviceProfile.mjs: a plan for own devices, and a refusal in one sentence", async () => {
    const output = await node("examples/deviceProfile.mjs");
    expect(output).toMatch(/window-pi .*triangle/);
    expect(output).toMatch(/Within one second \(plan\): .*deadline/);
  });

  it("trainingStep.mjs: the loss falls", async () => {
    const [first = 0, last = Number.NaN] = numbersAfter(await node("examples/trainingStep.mjs"), "(?:first|last) twenty(?: steps)?");
    expect(last).toBeLessThan(0.95 * first);
  });

  it("fleet.yaml: sheaf plan finds a plan with two owners for every class", async () => {
    const plan = JSON.parse(await sheaf("plan", "--config", "examples/fleet.yaml", "--json")) as {
      devices: { id: string; seconds: number }[];
      codewords: Record<string, string[]>;
    };
    expect(plan.devices.map((d) => d.id)).toEqual(["window-pi", "phone-mid", "laptop-browser", "board"]);
    for (const device of plan.devices) expect(device.seconds).toBeLessThanOrEqual(600);
    for (const owners of Object.values(plan.codewords)) expect(owners.length).toBeGreaterThanOrEqual(2);
    expect(plan.codewords.triangle).toContain("window-pi");
  });

  it("network.json: the command line takes it as a target, and it is the network of ownNetwork.mjs", async () => {
    const cost = JSON.parse(await sheaf("cost", "--network", "examples/network.json", "--json")) as { macs: number };
    expect(await ownNetworkOutput()).toContain(`full width: ${cost.macs} MACs`);
  });

  it("dataSet.ts and network.ts: the command line takes both by their paths, and they learn", async () => {
    const inspected = JSON.parse(await sheaf("data", "inspect", "examples/dataSet.ts", "--network", "examples/network.ts", "--json")) as {
      classes: { label: string; train: number }[];
      devices: { own: number[] }[];
    };
    expect(inspected.classes.map(({ label, train }) => [label, train])).toEqual(
      ["level", "upright", "rising", "falling"].map((label) => [label, 300]),
    );
    expect(inspected.devices).toHaveLength(5);
    const out = join(folder, "stripes");
    const options = [
      "--data-set",
      "examples/dataSet.ts",
      "--network",
      "examples/network.ts",
      "--epochs",
      "6",
      "--batch",
      "32",
      "--out",
      out,
    ];
    const { accuracy } = JSON.parse(await sheaf("train", ...options, "--json")) as { accuracy: number };
    expect(accuracy).toBeGreaterThan(0.6);
  });

  it("are all run by a test here", async () => {
    const files = (await readdir(join(root, "examples"))).filter((name) => name !== "tsconfig.json").sort();
    expect(files).toEqual([
      "dataSet.ts",
      "deviceProfile.mjs",
      "fleet.yaml",
      "network.json",
      "network.ts",
      "ownData.mjs",
      "ownNetwork.mjs",
      "trainingStep.mjs",
    ]);
  });

  it("are well typed against the built declarations", async () => {
    await node("node_modules/typescript/bin/tsc", "-p", "examples/tsconfig.json");
  });
});
