import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { initialParameters } from "../compile/initialize.ts";
import { models } from "../models/table.ts";
import { outputShape } from "../network/shapes.ts";
import { encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";
import { parseConfig } from "./config.ts";
import { loadTarget } from "./target.ts";

describe("trained weights of a target", () => {
  const input = { channels: 3, height: 16, width: 16, mean: [0, 0, 0], std: [1, 1, 1] };
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sheaf-target-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const weightsOf = (classes: number): ReadonlyMap<string, Tensor> => initialParameters(models.tiny.build(input, classes), 3);
  const load = async (name: string, weights: ReadonlyMap<string, Tensor>, classes: number) => {
    const path = join(folder, `${name}.safetensors`);
    await writeFile(path, encodeSafetensors(weights));
    return loadTarget(parseConfig({ data: { name: "glyphs" }, target: { network: "tiny", weights: path } }), { input, classes });
  };

  it("are all kept where the classes are as many", async () => {
    const weights = weightsOf(10);
    const { network, parameters } = await load("same", weights, 10);
    expect(outputShape(network).channels).toBe(10);
    expect(new Set(parameters?.keys())).toEqual(new Set(weights.keys()));
  });

  it.each([100, 4])("of %i classes are kept but for the head", async (classes) => {
    const weights = weightsOf(classes);
    const { network, parameters } = await load(`of-${classes}`, weights, 10);
    expect(outputShape(network).channels).toBe(10);
    const lost = [...weights.keys()].filter((key) => !parameters?.has(key));
    expect(lost.length).toBeGreaterThan(0);
    for (const key of lost) expect(weights.get(key)?.shape[0]).toBe(classes);
    for (const [key, { data }] of parameters ?? []) expect(data).toEqual(weights.get(key)?.data);
  });

  it("of another network are refused", async () => {
    const [first = "", ...rest] = weightsOf(10).keys();
    const weights = new Map(rest.map((key) => [key, weightsOf(10).get(key) as Tensor]));
    await expect(load("other", weights, 10)).rejects.toThrow(`weight "${first}" of network "tiny" should have shape [`);
  });
});
