/** A short run on real CIFAR-10, where SHEAF_DATA has it: the same shapes, and better than chance. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
