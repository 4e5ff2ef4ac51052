/** The search of shapes on a few glyphs. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";
import type { RunEvent } from "./options.ts";
import { type ShapeSearchResult, searchShapes } from "./shapeSearch.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "shape-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const searchIn = (name: string, config: Record<string, unknown> = {}, more: object = {}): Promise<ShapeSearchResult> =>
  searchShapes({
    config: parseConfig({
      data: { name: "glyphs", trainCount: 200, validationShare: 0.25 },
      target: { network: "tiny" },
      training: { epochs: 2, batchSize: 16 },
      checkpointSeconds: 0.001,
      workers: 1,
      ...config,
    }),
    ratio: 4,
    candidates: ["uniform", "recipe", "0"],
    out: join(folder, name),
    dataDir: folder,
    ...more,
  });
/** All but times and places. */
const comparable = ({ seconds: _, out: __, shapes, ...rest }: ShapeSearchResult): unknown => ({
  ...rest,
  shapes: shapes.map(({ seconds: ___, ...shape }) => shape),
});

describe("a search of shapes", () => {
  let whole: ShapeSearchResult;
  const events: RunEvent[] = [];
  beforeAll(async () => {
    whole = await searchIn(
      "whole",
      { fleet: { learningRate: 0.07, shape: { conv1: 20, conv2: 10 } } },
      { onEvent: (event: RunEvent) => events.push(event) },
    );
  });

  it("trains every shape within the budget, and those alike once", () => {
    expect(whole.shapes.map(({ names }) => names)).toEqual([["uniform", "recipe"], ["0"], ["configured"]]);
    expect(whole.shapes.map(({ shape }) => shape)).toEqual([1, 0, { conv1: 20, conv2: 10 }]);
    for (const { macs, ratio, channels } of whole.shapes) {
      expect(macs).toBeLessThanOrEqual(whole.targetMacs / 4);
      expect(ratio).toBeCloseTo(whole.targetMacs / macs, 9);
      expect(Object.keys(channels)).toEqual(["conv1", "conv2", "classifier"]);
    }
    expect(whole.shapes[1]?.channels.conv1).toBe(whole.shapes[1]?.channels.conv2);
    expect(whole.shapes[2]?.channels.conv1).toBeGreaterThan(whole.shapes[2]?.channels.conv2 as number);
  });

  it("measures on validation samples and never on test ones, and names the best", () => {
    expect(whole).toMatchObject({ evaluatedOn: "validation", dataSet: { name: "glyphs", train: 150, validation: 50 }, epochs: 2, seed: 0 });
    expect(events.find(({ type }) => type === "data")).toMatchObject({ evaluatedOn: "validation", test: 50 });
    const highest = Math.max(...whole.shapes.map(({ accuracy }) => accuracy));
    expect(whole.shapes.find(({ names }) => names[0] === whole.best)?.accuracy).toBe(highest);
    for (const { accuracy } of whole.shapes) expect(Number.isInteger(Math.round(1e9 * accuracy * 50) / 1e9)).toBe(true);
  });

  it("leaves its result, configuration and manifest", async () => {
    const path = join(folder, "whole");
    expect(JSON.parse(await readFile(join(path, "result.json"), "utf8"))).toEqual(whole);
    const config = JSON.parse(await readFile(join(path, "config.resolved.json"), "utf8")) as Record<string, unknown>;
    expect(config).toMatchObject({
      kind: "shape",
      method: { ratio: 4 },
      data: { evaluateOn: "validation" },
      fleet: { learningRate: 0.07 },
    });
    expect((await readdir(path)).sort()).toEqual(["checkpoints", "config.resolved.json", "events.jsonl", "manifest.json", "result.json"]);
  });

  it("interrupted and resumed, ends in the same result; another search is refused", async () => {
    const controller = new AbortController();
    const onEvent = (event: RunEvent): void => {
      if (event.type === "progress" && event.job === "shape-0") controller.abort();
    };
    await expect(searchIn("stopped", {}, { signal: controller.signal, onEvent })).rejects.toMatchObject({ code: "interrupted" });
    const resumed = await searchIn("stopped", {}, { resume: true });
    expect(comparable(resumed)).toEqual(comparable(await searchIn("plain")));
    await expect(searchIn("stopped", {}, { resume: true, ratio: 5 })).rejects.toThrow(/another configuration/);
  });

  it("refuses what it cannot try before anything is trained", async () => {
    await expect(searchIn("none", {}, { candidates: ["wide"] })).rejects.toMatchObject({ code: "usage" });
    await expect(searchIn("none", {}, { ratio: 1e5 })).rejects.toMatchObject({ code: "config" });
    await expect(readdir(join(folder, "none"))).rejects.toThrow("ENOENT");
  });
});
