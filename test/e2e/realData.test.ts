/** Short runs on real CIFAR-10, CIFAR-100 and Speech Commands, where SHEAF_DATA has them: the same shapes, and better than chance. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileInference } from "../../src/compile/deploy.ts";
import { fillBatchNchw } from "../../src/data/augment.ts";
import { fillWaves } from "../../src/data/clips.ts";
import { sampleSize } from "../../src/data/dataset.ts";
import { loadDataset } from "../../src/data/load.node.ts";
import { openSamples } from "../../src/data/samples.node.ts";
import { buildModel } from "../../src/models/table.ts";
import { writeOnnx } from "../../src/onnx/write.ts";
import { openSession } from "../../src/runtime/session.node.ts";
import { decodeSafetensors } from "../../src/util/safetensors.ts";
import { floats } from "../../src/util/tensor.ts";
import { built, json, type Scratch, scratch } from "./sheaf.ts";

// test/globalSetup.ts says so when it is not there.
const data = process.env.SHEAF_DATA ? resolve(process.env.SHEAF_DATA) : undefined;
const present = data !== undefined && existsSync(join(data, "cifar-10-batches-bin"));

describe.skipIf(!built || !present)("a run on CIFAR-10", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("cifar");
  });
  afterAll(() => folder.remove());

  it("beats chance with every head, and its model can be evaluated", async () => {
    const env = { SHEAF_DATA: data as string };
    const args = "--network tiny --epochs 3 --train-count 2500 --test-count 500 --rho 0.5 --sub-width 0.75".split(" ");
    const out = folder.at("run");
    const result = (await json(["run", ...args, "--out", out], { env })) as {
      accuracy: Record<string, number>;
      dataSet: { name: string; train: number; test: number };
    };
    expect(result.dataSet).toEqual({ name: "cifar10", train: 2500, test: 500 });
    for (const accuracy of Object.values(result.accuracy)) expect(accuracy).toBeGreaterThan(0.15);
    const evaluated = (await json(["eval", out, "--test-count", "500"], { env })) as { accuracy: number };
    expect(evaluated.accuracy).toBe(result.accuracy.H2);
  });
});

const hasWords = data !== undefined && existsSync(join(data, "speech_commands"));

describe.skipIf(!built || !hasWords)("Speech Commands", () => {
  let folder: Scratch;
  const env = { SHEAF_DATA: data as string };
  beforeAll(async () => {
    folder = await scratch("words");
  });
  afterAll(() => folder.remove());

  it("a trained model gives the same logits for raw audio as for the features it was trained on", async () => {
    const out = folder.at("trained");
    const args = "train --data-set speech-commands --network kws-vgg --width 0.25 --epochs 3 --train-count 1000".split(" ");
    const { balancedAccuracy } = (await json([...args, "--out", out], { env, cwd: folder.path })) as { balancedAccuracy: number };
    expect(balancedAccuracy).toBeGreaterThan(0.2);

    const { train, test } = await loadDataset("speech-commands", { env: { ...env, HOME: folder.path }, trainCount: 1000 });
    using samples = openSamples(test);
    const count = 200;
    const indices = Array.from({ length: count }, (_, i) => 2 * i);
    const network = buildModel("kws-vgg", { ...train.shape, mean: train.mean, std: train.std }, 10, 0.25);
    const { tensors } = decodeSafetensors(await readFile(join(out, "parameters.safetensors")), "parameters");
    await using fromAudio = await openSession(await readFile(join(out, "model.onnx")));
    await using fromFeatures = await openSession(
      writeOnnx(compileInference(network, tensors, { classNames: train.classNames }), { batchAxis: "N" }),
    );
    expect(fromAudio.inputNames).toEqual(["audio"]);
    const waves = new Float32Array(count * 16_000);
    const features = new Float32Array(count * sampleSize(test.shape));
    fillWaves(waves, samples, indices);
    fillBatchNchw(features, samples, indices);
    const a = (await fromAudio.run({ audio: floats("float32", [count, 16_000], waves) })).logits?.data as Float32Array;
    const b = (await fromFeatures.run({ image: floats("float32", [count, 1, 49, 40], features) })).logits?.data as Float32Array;
    expect(a.length).toBe(count * 10);
    expect(Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? 0))))).toBeLessThan(1e-3);
  });

  it("unknown and silence are classes, and nobody has to own unknown", async () => {
    const args = "--data-set speech-commands-12 --network kws-vgg --epochs 2 --train-count 600 --sub-width 0.3".split(" ");
    const plan = (await json(["plan", ...args], { env, cwd: folder.path })) as { devices: { classes: string[] }[] };
    const owned = new Set(plan.devices.flatMap(({ classes }) => classes));
    expect(owned.has("silence")).toBe(true);
    expect(owned.has("unknown")).toBe(false);
    expect(owned.has("left")).toBe(true);
  });
});

describe.skipIf(!built || data === undefined || !existsSync(join(data, "cifar-100-binary")))("CIFAR-100", () => {
  it("deals whole superclasses to devices when asked", async () => {
    const args = "plan --data-set cifar100 --network tiny --sub-width 0.5 --classes-per-device 20 --set fleet.groupBy=coarse".split(" ");
    const { devices } = (await json(args, { env: { SHEAF_DATA: data as string } })) as { devices: { taskSet: number[] }[] };
    const { train } = await loadDataset("cifar100", { dir: data });
    const coarseOf = new Map([...train.labels].map((label, i) => [label, train.coarse?.labels[i]]));
    for (const { taskSet } of devices) {
      expect(taskSet).toHaveLength(20);
      expect(new Set(taskSet.map((id) => coarseOf.get(id))).size).toBe(4);
    }
  });
});
