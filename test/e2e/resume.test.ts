/** The same seed gives the same bytes: with one worker or two, after `kill -9`, after Ctrl-C, and with another run at the door. */
import type { ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomOf } from "../../scripts/chaos/random.mjs";
import { beforeRename, chaosArguments, killAndResume, type Moment, moments } from "../../scripts/chaos/singleRun.mjs";
import { exitCodes } from "../../src/util/errors.ts";
import { built, type Outcome, type Scratch, scratch, sha256, sheaf, small, succeed } from "./sheaf.ts";

const momentNamed = (name: string): Moment => moments.find((m) => m.name === name) as Moment;

/** Sends a signal when stderr first shows `pattern`, and again `againMs` later. */
function interruptAt(pattern: RegExp, againMs?: number): (text: string, child: ChildProcess) => void {
  let sent = false;
  return (text, child) => {
    if (sent || !pattern.test(text)) return;
    sent = true;
    child.kill("SIGINT");
    if (againMs !== undefined) setTimeout(() => child.kill("SIGINT"), againMs);
  };
}

describe.skipIf(!built)("a run with a seed", () => {
  let folder: Scratch;
  let expected: string;
  const run = (out: string, ...more: string[]): Promise<Outcome> => succeed([...chaosArguments, "--out", folder.at(out), ...more]);

  beforeAll(async () => {
    folder = await scratch("resume");
    await run("peace", "--workers", "2");
    expected = await sha256(folder.at("peace", "model.onnx"));
  });
  afterAll(() => folder.remove());

  it("gives the same model with one worker, and another with another seed", async () => {
    await run("one", "--workers", "1");
    expect(await sha256(folder.at("one", "model.onnx"))).toBe(expected);
    for (const file of ["central.onnx", "slim.onnx", "metrics.csv"])
      expect(await sha256(folder.at("one", file))).toBe(await sha256(folder.at("peace", file)));
    await run("other", "--seed", "1");
    expect(await sha256(folder.at("other", "model.onnx"))).not.toBe(expected);
  });

  it.each<readonly [string, readonly Moment[]]>([
    ["in training and while statistics are made", [momentNamed("training"), momentNamed("statistics")]],
    ["when nothing but a folder is there, and just before files are put into place", [beforeRename(1), beforeRename(6)]],
  ])("killed %s, and resumed, gives the same model", async (name, atMoments) => {
    const random = randomOf(name.length);
    const out = folder.at(`killed-${name.length}`);
    const killed = await killAndResume({ args: chaosArguments, out, atMoments, random, expectedSha256: expected });
    expect(killed).toEqual(atMoments.map((moment) => moment.name));
  });

  it("stops on Ctrl-C with 130, says how to resume, and then gives the same model", async () => {
    // In the default folder, which --resume finds again.
    const cwd = folder.path;
    const out = folder.at("runs", "tiny-seed0");
    const args = [...chaosArguments, "--set", "checkpointSeconds=1000"];
    const outcome = await sheaf(args, { cwd, onStderr: interruptAt(/central +epoch 1/) });
    expect(outcome.code).toBe(exitCodes.interrupted);
    expect(outcome.stderr).toMatch(/Stopping: keeping what is done/);
    expect(outcome.stderr.trimEnd().split("\n").at(-1)).toMatch(/^sheaf: .*interrupted.*--resume/);
    expect(await readdir(out)).not.toContain("run.lock");
    expect((await readdir(join(out, "checkpoints"))).some((name) => name.endsWith(".checkpoint"))).toBe(true);
    await succeed([...args, "--resume"], { cwd });
    expect(await readdir(folder.at("runs"))).toEqual(["tiny-seed0"]);
    expect(await sha256(join(out, "model.onnx"))).toBe(expected);
    const events = (await readFile(join(out, "events.jsonl"), "utf8")).trimEnd().split("\n");
    expect(events.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual(
      expect.arrayContaining(["started", "resumed", "finished"]),
    );
  });

  it("stops at once on a second Ctrl-C", async () => {
    const out = folder.at("twice");
    const args = ["run", ...small, "--epochs", "50", "--out", out];
    const { code, signal, stderr } = await sheaf(args, { onStderr: interruptAt(/epoch 1/, 20) });
    // Ended by the signal, which a shell reports as 130, or just before it by itself.
    expect(code ?? exitCodes.interrupted).toBe(exitCodes.interrupted);
    expect([null, "SIGINT"]).toContain(signal);
    expect(stderr).not.toMatch(/terminate called|trained in/);
  });

  it("keeps a second run out of its directory while it lives", async () => {
    const out = folder.at("shared");
    let second: Promise<Outcome> | undefined;
    const first = await sheaf([...chaosArguments, "--out", out, "--epochs", "5", "--workers", "1"], {
      onStderr: (text) => {
        if (/epoch 1/.test(text)) second ??= sheaf([...chaosArguments, "--out", out, "--epochs", "5", "--resume"]);
      },
    });
    expect(first.code).toBe(0);
    const { code, stderr } = (await second) as Outcome;
    expect({ code, stderr }).toEqual({ code: exitCodes.config, stderr: expect.stringMatching(/is in use by another run \(process \d+\)/) });
  });

  it("resumes a single training to the same model too", async () => {
    const args = "train --data-set glyphs --network tiny --epochs 4 --train-count 300 --test-count 100 --batch 32".split(" ");
    await succeed([...args, "--out", folder.at("train")]);
    const outcome = await sheaf([...args, "--out", folder.at("train-2")], { onStderr: interruptAt(/epoch 1/) });
    expect(outcome.code).toBe(exitCodes.interrupted);
    await succeed([...args, "--out", folder.at("train-2"), "--resume"]);
    expect(await sha256(folder.at("train-2", "model.onnx"))).toBe(await sha256(folder.at("train", "model.onnx")));
  });
});
