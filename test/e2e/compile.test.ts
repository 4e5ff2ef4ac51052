/** `sheaf compile`: its three files are enough to train with; this test knows train.json, safetensors and a session, and nothing else of Sheaf's compiler. */
import { readdir, readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drawGlyphs } from "../../src/data/glyphs.ts";
import { readOnnx } from "../../src/onnx/read.ts";
import { openSession } from "../../src/runtime/session.node.ts";
import { decodeSafetensors } from "../../src/util/safetensors.ts";
import { type DType, floats, type Tensor } from "../../src/util/tensor.ts";
import { built, json, type Scratch, scratch, sha256, succeed } from "./sheaf.ts";

interface Port {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly role: "image" | "target" | "learningRate" | "parameter" | "state" | "loss" | "logits";
  readonly replaces?: string;
}
interface Description {
  readonly batchSize: number;
  readonly suggestedLearningRate: number;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

describe.skipIf(!built)("sheaf compile", () => {
  let folder: Scratch;
  let description: Description;
  let model: Uint8Array;
  let initial: ReadonlyMap<string, Tensor>;
  beforeAll(async () => {
    folder = await scratch("compile");
    await json([..."compile --network tiny --width 0.5 --batch 16 --out".split(" "), folder.at("step")]);
    description = JSON.parse(await readFile(folder.at("step", "train.json"), "utf8")) as Description;
    model = await readFile(folder.at("step", "train.onnx"));
    initial = decodeSafetensors(await readFile(folder.at("step", "parameters.safetensors")), "parameters").tensors;
  });
  afterAll(() => folder.remove());

  it("writes three files whose ports are exactly those of the graph", async () => {
    expect((await readdir(folder.at("step"))).sort()).toEqual(["parameters.safetensors", "train.json", "train.onnx"]);
    const graph = readOnnx(model);
    const bare = ({ name, dtype, shape }: Port): object => ({ name, dtype, shape });
    expect(description.inputs.map(bare)).toEqual(graph.inputs);
    expect(description.outputs.map(bare)).toEqual(graph.outputs);
    expect(description.batchSize).toBe(16);
  });

  it("gives every port a role, every kept input its initial value and one output that replaces it", () => {
    const roles = (ports: readonly Port[]): string[] => [...new Set(ports.map((p) => p.role))].sort();
    expect(roles(description.inputs)).toEqual(["image", "learningRate", "parameter", "state", "target"]);
    expect(roles(description.outputs)).toEqual(["logits", "loss", "parameter", "state"]);
    const kept = description.inputs.filter((p) => p.role === "parameter" || p.role === "state");
    expect([...initial.keys()].sort()).toEqual(kept.map((p) => p.name).sort());
    for (const { name, dtype, shape } of kept) expect(initial.get(name)).toMatchObject({ dtype, shape });
    const replacing = description.outputs.filter((p) => p.replaces !== undefined);
    expect(replacing.map((p) => p.replaces).sort()).toEqual(kept.map((p) => p.name).sort());
    for (const output of replacing) {
      const { dtype, shape, role } = kept.find((p) => p.name === output.replaces) as Port;
      expect(output).toMatchObject({ dtype, shape, role });
    }
  });

  it("trains in a loop written from train.json alone", async () => {
    const batch = description.batchSize;
    const { pixels, labels } = drawGlyphs(batch, { seed: 3, split: "train" });
    const byRole = (role: Port["role"]): Port => [...description.inputs, ...description.outputs].find((p) => p.role === role) as Port;
    const [image, target, rate, loss] = (["image", "target", "learningRate", "loss"] as const).map(byRole) as [Port, Port, Port, Port];
    // [channels, height, width, batch] from samples of [channels, height, width]; one-hot [classes, batch].
    const imageData = Float32Array.from({ length: 3072 * batch }, (_, i) => pixels[(i % batch) * 3072 + Math.floor(i / batch)] as number);
    const targetData = Float32Array.from({ length: 10 * batch }, (_, i) => (labels[i % batch] === Math.floor(i / batch) ? 1 : 0));
    const values = new Map(initial);
    const losses: number[] = [];
    const session = await openSession(model);
    try {
      for (let step = 0; step < 30; step++) {
        const outputs = await session.run({
          ...Object.fromEntries(values),
          [image.name]: floats("float32", image.shape, imageData),
          [target.name]: floats("float32", target.shape, targetData),
          [rate.name]: floats("float32", rate.shape, [description.suggestedLearningRate]),
        });
        losses.push(outputs[loss.name]?.data[0] as number);
        for (const output of description.outputs) if (output.replaces) values.set(output.replaces, outputs[output.name] as Tensor);
      }
    } finally {
      await session.dispose();
    }
    expect(losses[0]).toBeGreaterThan(1.5);
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) / 2);
  });

  it("gives the same bytes for the same seed, and other values for another", async () => {
    const compile = (out: string, ...more: string[]): Promise<unknown> =>
      succeed([..."compile --network tiny --width 0.5 --batch 16".split(" "), ...more, "--out", folder.at(out)]);
    await Promise.all([compile("again"), compile("other", "--seed", "5")]);
    for (const file of ["train.onnx", "parameters.safetensors", "train.json"])
      expect(await sha256(folder.at("again", file))).toBe(await sha256(folder.at("step", file)));
    expect(await sha256(folder.at("other", "parameters.safetensors"))).not.toBe(await sha256(folder.at("step", "parameters.safetensors")));
  });
});
