/** Each way to share out data and classes ends in a model; and the quick start ends in what it promises. */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeSafetensors, encodeSafetensors } from "../../src/util/safetensors.ts";
import type { Tensor } from "../../src/util/tensor.ts";
import { built, json, type Scratch, scratch, sha256, sheaf, smallest, succeed } from "./sheaf.ts";

interface RunJson {
  readonly accuracy: Readonly<Record<string, number>>;
  readonly head: string;
  readonly compute: { readonly byDevice: readonly { readonly id: string }[] };
  readonly modelSha256: string;
  readonly rejected: readonly string[];
}

describe.skipIf(!built)("a run", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("variants");
  });
  afterAll(() => folder.remove());

  it.each<readonly [string, readonly string[]]>([
    ["Dirichlet shares", ["--set", 'partition={"type":"dirichlet","alpha":0.3}']],
    ["shards", ["--set", "partition.type=shards"]],
    ["independent shares", ["--set", "partition.type=iid", "--classes-per-device", "4"]],
    ["every class twice", ["--redundancy", "2"]],
    ["disjoint groups", ["--set", "fleet.disjoint=true"]],
    ["disjoint groups of teams", ["--set", "fleet.disjoint=true", "--redundancy", "2"]],
    ["split classes", ["--redundancy", "2", "--set", "partition.overlap=split"]],
    ["no background", ["--rho", "0"]],
    ["devices sized by a deadline", ["--set", 'fleet={"deadlineSeconds":60}']],
    ["another optimizer", ["--set", "training.optimizer.momentum=0.8", "--set", "training.schedule.type=oneCycle"]],
  ])("with %s ends in a model", async (name, args) => {
    const out = folder.at(name.replaceAll(" ", "-"));
    const result = (await json(["run", ...smallest, ...args, "--out", out])) as RunJson;
    expect(await sha256(join(out, "model.onnx"))).toBe(result.modelSha256);
    expect(result.compute.byDevice).toHaveLength(5);
    expect(result.rejected).toEqual([]);
    expect(Object.keys(result.accuracy).sort()).toEqual(["H0", "H1", "H2"]);
    expect(await readFile(join(out, "report.html"), "utf8")).toContain("</html>");
  });

  it("looks for a faster GPU without a word of its drivers", async () => {
    const { stderr, stdout } = await sheaf(["train", ...smallest, "--set", "training.provider=auto", "--out", folder.at("auto")]);
    expect(stdout + stderr).not.toMatch(/vulkan|XDG_|adapter/i);
    expect(stdout).toContain("model.onnx");
  });

  it("answers with the head that was asked for", async () => {
    const out = folder.at("free");
    const result = (await json(["run", ...smallest, "--head", "H0", "--out", out])) as RunJson;
    expect(result.head).toBe("H0");
    const exported = (await json(["export", out, "H0", "--file", folder.at("H0.onnx")])) as { sha256: string };
    expect(exported.sha256).toBe(result.modelSha256);
  });

  it("leaves out a device whose sub-model the gate refuses, in the run and in exports of it", async () => {
    const out = folder.at("gate");
    const args = ["run", ...smallest, "--out", out];
    const before = (await json(args)) as RunJson;
    const file = join(out, "checkpoints", "desktop.safetensors");
    const { tensors, metadata } = decodeSafetensors(await readFile(file), file);
    (tensors.get("conv1.weight") as Tensor).data[0] = 5000;
    const facts = { facts: metadata.facts as string };
    const sha256 = createHash("sha256").update(encodeSafetensors(tensors, facts)).digest("hex");
    await writeFile(file, encodeSafetensors(tensors, { ...facts, sha256 }));
    const after = (await json([...args, "--resume"])) as RunJson;
    expect(after.rejected).toEqual(["desktop"]);
    expect(after.modelSha256).not.toBe(before.modelSha256);
    const exported = (await json(["export", out, "H2", "--file", folder.at("gate.onnx")])) as { sha256: string };
    expect(exported.sha256).toBe(after.modelSha256);
    expect(await readFile(join(out, "events.jsonl"), "utf8")).toMatch(/"rejected","device":"desktop","reason":".*magnitude 5000/);
  });
});

describe.skipIf(!built)("the quick start", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("quickstart");
  });
  afterAll(() => folder.remove());

  it("ends with a table, the paths of report and model, and a command that works", async () => {
    const args = "quickstart --data-set glyphs --network tiny --epochs 1 --train-count 600 --test-count 200".split(" ");
    await mkdir(folder.at("runs", "quickstart"), { recursive: true });
    const { stdout, stderr } = await succeed(args, { cwd: folder.path });
    expect(stderr).toMatch(/^Five virtual devices of different strength/);
    for (const row of [/central .*\d+\.\d%/, /slim .*\d+\.\d%/, /H0 .*\d+\.\d%/, /H1 .*\d+\.\d%/, /H2 .*← model\.onnx +\d+\.\d%/])
      expect(stdout).toMatch(row);
    expect(stdout).toMatch(/times less/);
    expect(stdout).toMatch(/bytes moved: .* down, .* up/);
    const model = /^Model +(\S+)/m.exec(stdout)?.[1] ?? "";
    const report = /^Report +(\S+)/m.exec(stdout)?.[1] ?? "";
    expect(model).toBe(join("runs", "quickstart-2", "model.onnx"));
    expect(await readFile(folder.at(report), "utf8")).toContain("<svg");
    const predict = stdout.trimEnd().split("\n").at(-1)?.trim().split(" ") ?? [];
    expect(predict.slice(0, 6)).toEqual(["npm", "run", "--silent", "sheaf", "--", "predict"]);
    expect(predict[6]).toBe(model);
    const answer = await succeed(predict.slice(5), { cwd: folder.path });
    expect(answer.stdout).toMatch(/^\S+\.png( +[a-z]+ \d+\.\d%){3}\n$/);
  });
});
