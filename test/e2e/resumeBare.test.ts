/** `--resume --out DIR` alone: a killed run goes on with the settings that it began with. */
import { cp, readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chaosArguments } from "../../scripts/chaos/singleRun.mjs";
import { exitCodes } from "../../src/util/errors.ts";
import { built, type Scratch, scratch, sha256, sheaf, small, succeed } from "./sheaf.ts";

/** Runs until stderr shows `pattern`, then kills with a signal that cannot be caught. */
async function killAt(pattern: RegExp, args: readonly string[]): Promise<void> {
  const { signal } = await sheaf(args, {
    onStderr: (text, child) => {
      if (pattern.test(text)) child.kill("SIGKILL");
    },
  });
  expect(signal).toBe("SIGKILL");
}

const oneCycle = [
  "--set",
  "training.schedule.type=oneCycle",
  "--set",
  "training.schedule.learningRate=0.04",
  "--set",
  "training.schedule.warmup=0.2",
];
const baselineArguments = ["fedAvg", ...small, "--rounds", "3", "--set", "baseline.participation=0.5"];

describe.skipIf(!built)("a killed run, resumed by its directory alone,", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("bare");
  });
  afterAll(() => folder.remove());

  it.each<readonly [string, readonly string[], readonly string[], RegExp]>([
    ["run", [...chaosArguments.slice(1), "--seed", "3", "--redundancy", "2", "--set", 'heads.extra=["H3"]'], [], /laptop-browser +epoch 1/],
    ["train", [...small, "--epochs", "8", "--set", "checkpointSeconds=0.1", ...oneCycle], [], /epoch [1-4]\//],
    ["baseline", baselineArguments, ["fedAvg"], /round 1/],
  ])("ends in the same model: %s", async (name, args, again, pattern) => {
    const workers = (count: number): readonly string[] => (name === "train" ? [] : ["--workers", String(count)]);
    const [peace, killed] = [folder.at(`${name}-peace`), folder.at(`${name}-killed`)];
    await succeed([name, ...args, "--out", peace]);
    await killAt(pattern, [name, ...args, "--out", killed, ...workers(1)]);
    const before = folder.at(`${name}-before`);
    await cp(killed, before, { recursive: true });
    // What is given must be as it was.
    const { code, stderr } = await sheaf([name, ...again, "--seed", "9", "--out", before, "--resume"]);
    expect({ code, stderr }).toEqual({
      code: exitCodes.config,
      stderr: expect.stringMatching(/holds a run with another configuration \(there "seed": \d, now "seed": 9\); resume without settings/),
    });
    const outcome = await succeed([name, ...again, "--resume", "--out", killed, ...workers(2)]);
    if (name !== "train") expect(outcome.stderr).toMatch(/Resumed: .+ had finished|Resumed: .*rounds/);
    expect(await sha256(`${killed}/model.onnx`)).toBe(await sha256(`${peace}/model.onnx`));
    expect(await readFile(`${killed}/config.resolved.json`, "utf8")).toBe(await readFile(`${peace}/config.resolved.json`, "utf8"));
  });

  it("is refused where there is none, but for a start with settings", async () => {
    for (const args of [["run"], ["train"], ["baseline", "fedAvg"]]) {
      const { code, stderr } = await sheaf([...args, "--resume", "--out", folder.at("nothing")]);
      expect({ code, stderr }).toEqual({ code: exitCodes.config, stderr: expect.stringMatching(/nothing holds no run to go on with/) });
    }
  });

  it("is refused by another command", async () => {
    const { code, stderr } = await sheaf(["run", "--resume", "--out", folder.at("train-peace")]);
    expect({ code, stderr }).toEqual({ code: exitCodes.config, stderr: expect.stringMatching(/holds a run with another configuration/) });
    const exported = await sheaf(["export", folder.at("baseline-peace"), "H0"]);
    expect(exported).toMatchObject({ code: exitCodes.usage, stderr: expect.stringMatching(/holds a baseline, which has no parts/) });
  });
});
