/** `sheaf simulate` as a command: figures, files, growth over sizes, and refusals. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Growth } from "../../src/simulate/growth.ts";
import type { SimulationResult } from "../../src/simulate/outcome.ts";
import { built, filesBelow, json, type Scratch, scratch, sha256, sheaf } from "./sheaf.ts";

interface Printed {
  readonly simulations: readonly SimulationResult[];
  readonly growth: readonly Growth[];
}

const fleet = [
  "simulate",
  "--data-set",
  "glyphs",
  "--train-count",
  "200",
  "--test-count",
  "40",
  "--network",
  "tiny",
  "--epochs",
  "1",
  "--json",
];

describe.skipIf(!built)("sheaf simulate", () => {
  let folder: Scratch;
  beforeAll(async () => {
    folder = await scratch("simulate");
  });
  afterAll(() => folder.remove());

  it("makes a model of devices that come and go, and the same from the trace that it wrote", async () => {
    const [first, again] = [join(folder.path, "first"), join(folder.path, "again")];
    const line = [...fleet, "--devices", "3", "--samples", "all", "--sub-width", "0.5"];
    const { simulations } = (await json([...line, "--arrivals", "poisson:60", "--out", first])) as Printed;
    const [result] = simulations as [SimulationResult];
    expect(result).toMatchObject({ training: "real", outcome: "finished", devices: { total: 3, finished: 3 } });
    expect(result).not.toHaveProperty("coordinator");
    expect(await sha256(join(first, "model.onnx"))).toBe(result.model?.sha256);
    expect(await filesBelow(first)).toEqual(["coverage.csv", "coverage.svg", "model.onnx", "simulation.json", "trace.csv"]);
    expect(JSON.parse(await readFile(join(first, "simulation.json"), "utf8"))).toEqual(result);
    await json([...line, "--arrivals", join(first, "trace.csv"), "--out", again]);
    expect(await readFile(join(again, "simulation.json"), "utf8")).toBe(await readFile(join(first, "simulation.json"), "utf8"));
  });

  it("tells how the coordinator's cost grows", async () => {
    const line = [...fleet, "--devices", "20,80", "--head", "H0", "--samples", "50", "--lost", "0.2:0.001", "--sub-width", "0.5"];
    const { simulations, growth } = (await json(line)) as Printed;
    expect(simulations.map(({ devices }) => devices.planned)).toEqual([20, 80]);
    expect(simulations[1]).toMatchObject({ training: "stubbed", coordinator: { commands: expect.any(Number) } });
    expect(growth[0]).toMatchObject({ what: "total", cpuMs: [expect.any(Number), expect.any(Number)] });
  });

  it.each([
    [["--arrivals", "poisson:0"], "PER_HOUR"],
    [["--sessions", "sometimes"], "always, nights"],
    [["--lost", "2"], "share"],
    [["--profiles", "abacus"], "abacus"],
    [["--arrivals", "no-such-trace.csv"], "no-such-trace.csv"],
  ])("refuses %j in a sentence", async (options, word) => {
    const { code, stderr } = await sheaf([...fleet.slice(0, -1), ...options]);
    expect(code).toBeGreaterThan(1);
    expect(stderr).toContain(word);
  });
});
