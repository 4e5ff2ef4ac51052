import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadDatasetModule } from "./modules.node.ts";
import { openMemorySamples } from "./samples.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-modules-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function file(source: string, ending = "ts"): Promise<string> {
  const path = join(folder, `set${files++}.${ending}`);
  await writeFile(path, source);
  return path;
}

/** A sound module, changed in one place. */
const sound = (change: string = ""): string => `
interface Part { labels: number[]; values: Uint8Array }
const part = (count: number): Part => ({ labels: Array.from({ length: count }, (_, i) => i % 2), values: new Uint8Array(count * 4).map((_, i) => i) });
export default {
  name: "mine",
  load: async ({ seed }: { seed: number }) => ({
    classNames: ["a", "b"], shape: { channels: 1, height: 2, width: 2 }, train: part(6 + seed), test: part(2), ${change}
  }),
};`;

describe("loadDatasetModule", () => {
  it("loads TypeScript, gives shared memory and statistics of the training part", async () => {
    const { train, test, validation } = await loadDatasetModule(await file(sound()), { seed: 2 });
    expect(validation).toBeUndefined();
    expect([train.labels.length, test.labels.length]).toEqual([8, 2]);
    expect(train).toMatchObject({ name: "mine", classNames: ["a", "b"], mean: [15.5] });
    expect(test.mean).toEqual(train.mean);
    expect(train.std[0]).toBeCloseTo(Math.sqrt((32 ** 2 - 1) / 12), 6);
    expect(train.store.type === "memory" && train.store.values.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([...openMemorySamples(train).record(1)]).toEqual([4, 5, 6, 7]);
    expect(train.provenance.source).toMatch(/mine \(.*set\d+\.ts\), train: 8 samples/);
    expect(train.provenance.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(test.provenance.sha256).not.toBe(train.provenance.sha256);
  });

  it("takes JavaScript, modules beside it, floats, a validation part and a class that nobody owns", async () => {
    const helper = await file("export const values = Float32Array.of(-1, 0, 0.5, 2)", "mjs");
    const source = `import { values } from ${JSON.stringify(helper)};
      const part = { labels: [1], values };
      export default { name: "f", load: () => ({ classNames: ["a", "b"], shape: { channels: 4, height: 1, width: 1 }, train: part, test: part, validation: part, otherClass: 1 }) };`;
    const { train, validation } = await loadDatasetModule(await file(source, "mjs"));
    expect(train).toMatchObject({ mean: [-1, 0, 0.5, 2], std: [1, 1, 1, 1], otherClass: 1 });
    expect(validation?.labels).toEqual(Uint16Array.of(1));
  });

  it("takes data sets that the module put together itself", async () => {
    const source = (labels: string): string => `
      const set = (labels) => ({ name: "own", classNames: ["a", "b"], shape: { channels: 1, height: 1, width: 1 }, labels: Uint16Array.from(labels),
        store: { type: "memory", values: Uint8Array.of(1, 2) }, mean: [1], std: [1], provenance: { source: "here", sha256: "" } });
      export default { name: "own", load: () => ({ train: set(${labels}), test: set([0]) }) };`;
    expect((await loadDatasetModule(await file(source("[0, 1]"), "mjs"))).train.name).toBe("own");
    await expect(loadDatasetModule(await file(source("[0, 1, 1]"), "mjs"))).rejects.toThrow(
      /train\.store\.values must be of at least 3 values, got Uint8Array of 2/,
    );
    await expect(loadDatasetModule(await file(source("[0, 7]"), "mjs"))).rejects.toThrow(
      /train\.labels\[1\] must be a whole number from 0 to 1.*got 7/,
    );
  });

  it.each([
    ["no default export", "export const dataSet = 1;", /no default export \(it exports only dataSet\)/],
    ["nothing in it", "", /no default export \(it exports nothing\)/],
    ["a syntax error", "export default {", /cannot be run: .*Unexpected token at .*:1:\d+/],
    ["an error of its own", 'throw new Error("no luck")', /cannot be run: no luck;/],
    ["a default export of another kind", "export default 3;", /default export must be what defineDataset returns.*got 3/],
    ["no name", "export default { load() {} };", /name must be a word.*got undefined/],
    ["no load", 'export default { name: "a" };', /load must be a function.*got undefined/],
    ["a load that fails", 'export default { name: "a", load() { throw new Error("server down."); } };', /load failed: server down;/],
    ["a load that gives nothing", 'export default { name: "a", load() {} };', /what load gives must be .*got undefined/],
    ["twice the same class", sound('classNames: ["a", "a"],'), /classNames must be different names, got "a"/],
    ["no class", sound("classNames: [],"), /classNames must be a list of names, got \[\]/],
    [
      "a shape with a zero",
      sound("shape: { channels: 1, height: 0, width: 2 },"),
      /shape must be .*got \{"channels":1,"height":0,"width":2\}/,
    ],
    [
      "too few values",
      sound("test: { labels: [0, 1], values: new Uint8Array(7) },"),
      /test\.values must be of 8 values \(2 samples of 1 x 2 x 2\).*got Uint8Array of 7/,
    ],
    [
      "values of another type",
      sound("test: { labels: [0], values: [1, 2, 3, 4] },"),
      /test\.values must be a Uint8Array \(0 to 255\) or a Float32Array, got \[1,2,3,4\]/,
    ],
    [
      "a label without a class",
      sound("test: { labels: [2], values: new Uint8Array(4) },"),
      /test\.labels\[0\] must be a whole number from 0 to 1, one for each class name, got 2/,
    ],
    ["an empty part", sound("train: { labels: [], values: new Uint8Array(0) },"), /train\.labels must be a list of at least one sample/],
    [
      "a value that is no number",
      sound("test: { labels: [0], values: Float32Array.of(0, NaN, 0, 0) },"),
      /test\.values\[1\] must be a finite number/,
    ],
    ["a missing part", sound("test: undefined,"), /test must be \{ labels, values \}, got undefined/],
    ["an other class that is none", sound("otherClass: 5,"), /otherClass must be a class number from 0 to 1, got 5/],
  ])("refuses a module with %s, in one sentence that names the file", async (_what, source, says) => {
    const path = await file(source);
    const failure = await loadDatasetModule(path).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "data", message: expect.stringMatching(says) });
    expect((failure as Error).message).toContain(path);
    expect((failure as Error).message).not.toContain("\n");
  });

  it("says when there is no such file", async () => {
    await expect(loadDatasetModule(join(folder, "none.ts"))).rejects.toMatchObject({
      code: "data",
      message: expect.stringContaining("no such file"),
    });
  });
});
