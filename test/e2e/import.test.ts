/** `sheaf import`: a file of another tool becomes a network that trains from the weights it came with. */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeSafetensors } from "../../src/util/safetensors.ts";
import { built, json, type Scratch, scratch, sheaf, succeed } from "./sheaf.ts";

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/import/${name}.onnx`, import.meta.url));

describe.skipIf(!built)("sheaf import", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("import");
  });
  afterAll(() => folder.remove());

  it("writes a network and its weights, with which training starts", async () => {
    const names = "a,b,c,d,e,f,g,h,i,j";
    const printed = await json([
      "import",
      fixture("resnet-opset17"),
      "--input",
      "3x32x32",
      "--class-names",
      names,
      "--out",
      folder.at("resnet"),
    ]);
    expect(printed).toMatchObject({
      name: "resnet-opset17",
      producer: "pytorch 1.13.0",
      opset: 17,
      classes: 10,
      classNames: names.split(","),
      input: { channels: 3, height: 32, width: 32 },
    });
    const { check } = printed as { check: { samples: number; maxDifference: number; maxOutput: number } };
    expect(check.samples).toBe(1);
    expect(check.maxDifference).toBeLessThanOrEqual(1e-6 * check.maxOutput);
    const network = JSON.parse(await readFile(folder.at("resnet", "network.json"), "utf8")) as {
      layers: { name: string }[];
      classNames: string[];
    };
    expect(network.classNames).toHaveLength(10);
    const { tensors } = decodeSafetensors(await readFile(folder.at("resnet", "weights.safetensors")), "weights");
    expect(network.layers.some((l) => tensors.has(`${l.name}.weight`))).toBe(true);

    const settings = ["--data-set", "glyphs", "--train-count", "64", "--test-count", "32", "--epochs", "1", "--batch", "16"];
    const target = [
      "--network",
      folder.at("resnet", "network.json"),
      "--set",
      `target.weights=${folder.at("resnet", "weights.safetensors")}`,
    ];
    expect(await json(["train", ...settings, ...target, "--out", folder.at("trained")])).toHaveProperty("accuracy");
  });

  it("prints a table, what was left out, and how near the original it is", async () => {
    await writeFile(folder.at("names.txt"), "one\ntwo\nthree\nfour\nfive\n");
    const { stdout } = await succeed(["import", fixture("old-opset7"), "--class-names", folder.at("names.txt"), "--out", folder.at("old")]);
    expect(stdout).toMatch(/^layer +type +output +MACs +parameters\n/);
    expect(stdout).toMatch(/\ntotal /);
    expect(stdout).toContain("old-opset7.onnx: onnx.helper, ONNX operator set 7, input 3x8x8");
    expect(stdout).toContain("The Softmax at the end was left out: a network ends in logits.");
    expect(stdout).toMatch(/Checked against the original on 2 random samples: largest difference \d\.\de-\d+ /);
  });

  it("ends with code 5 and every reason where it cannot read, and with 2 for wrong options", async () => {
    const refused = await sheaf(["import", fixture("refused-opset12"), "--out", folder.at("refused")]);
    expect(refused.code).toBe(5);
    expect(refused.stderr).toMatch(/node "lrn" \(LRN\).*node "excite" \(Mul\).*node "tanh" \(Tanh\)/);
    expect((await sheaf(["import", fixture("old-opset7")])).stderr).toContain("sheaf import needs --out DIR");
    expect((await sheaf(["import", fixture("old-opset7"), "--input", "3x8", "--out", folder.at("x")])).code).toBe(2);
    const short = await sheaf(["import", fixture("old-opset7"), "--class-names", "a,b", "--out", folder.at("x")]);
    expect([short.code, short.stderr]).toEqual([2, expect.stringContaining("--class-names has 2 names, but the network gives 5 values")]);
    expect((await sheaf(["import", folder.at("nothing.onnx"), "--out", folder.at("x")])).code).toBe(4);
  });
});
