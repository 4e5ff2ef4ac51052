import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SourceFormatName } from "./openSource.node.ts";
import { detectSource, openSource, sourceFormats } from "./openSource.node.ts";
import { clip, npy, parquet, writeTree, zip } from "./sources.fixture.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-open-"));
});
afterAll(() => rm(root, { recursive: true }));

const labelled = [0, 1].map((label) => ({ bytes: Uint8Array.of(1), label }));
const arrays = { "images.npy": npy(new Uint8Array(8), "|u1", [2, 2, 2]), "labels.npy": npy(Uint8Array.of(0, 1), "|u1", [2]) };

/** A data set of each kind: its files, and which path is given. */
const examples: Readonly<
  Record<SourceFormatName, { readonly files: Readonly<Record<string, Uint8Array | string>>; readonly path: string }>
> = {
  speechCommands: {
    files: { "yes/a_nohash_0.wav": clip(1), "no/a_nohash_0.wav": clip(1), "validation_list.txt": "", "testing_list.txt": "" },
    path: "",
  },
  csv: { files: { "a.jpg": "a", "b.jpg": "b", "list.CSV": "path,label\na.jpg,x\nb.jpg,y\n" }, path: "list.CSV" },
  npz: { files: { "set.npz": zip(arrays) }, path: "set.npz" },
  npyFolder: { files: arrays, path: "" },
  parquet: { files: { "data/train-0.parquet": parquet(labelled) }, path: "" },
  imageFolder: { files: { "a/1.jpg": "a", "b/1.png": "b" }, path: "" },
  wavFolder: { files: { "a/1.wav": clip(1), "b/deep/1.WAV": clip(1) }, path: "" },
};

describe.each(Object.keys(sourceFormats) as SourceFormatName[])("%s", (name) => {
  test("is told from its path, and opens", async () => {
    const folder = join(root, name);
    await writeTree(folder, examples[name].files);
    const path = join(folder, examples[name].path);
    expect(await detectSource(path)).toBe(name);
    if (name === "speechCommands") return; // its own tests open it
    const source = await openSource(path, {});
    expect(source.entries).toHaveLength(2);
    expect(source.title).toContain(path);
    expect(source.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    await Promise.all(source.entries.map((entry) => entry.read()));
    await source.close?.();
    await expect(openSource(path, { words: ["yes"] })).rejects.toMatchObject({ code: "config" });
    await expect(openSource(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "interrupted" });
  });
});

describe("what is no data set", () => {
  test("a path that leads nowhere", () =>
    expect(openSource(join(root, "nowhere"), {})).rejects.toMatchObject({
      code: "data",
      message: expect.stringMatching(/nowhere does not exist; expected a file or folder of labelled samples; check the path/),
    }));

  test("an empty folder, a folder of loose files and a file of another kind: all that was looked for is named", async () => {
    await mkdir(join(root, "empty"));
    await writeTree(root, { "loose/1.jpg": "x", "loose/2.jpg": "x", "notes.txt": "x" });
    const looked = Object.values(sourceFormats).map(({ looksFor }) => looksFor);
    for (const [path, got] of [
      ["empty", "an empty folder"],
      ["loose", "a folder with 1.jpg, 2.jpg"],
      ["notes.txt", "a file of another kind"],
    ] as const) {
      const error = await openSource(join(root, path), {}).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "data" });
      const { message } = error as Error;
      for (const sentence of looked) expect(message).toContain(sentence);
      expect(message).toContain(`got ${got};`);
    }
  });
});
