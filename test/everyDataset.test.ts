/** What holds of every data set, drawn, real or the user's own: its parts, its samples, and how partitioners deal it out. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { fillBatchNchw } from "../src/data/augment.ts";
import { type Dataset, type DatasetSplits, sampleSize, samplesByClass } from "../src/data/dataset.ts";
import { encodePng } from "../src/data/images.node.ts";
import { loadDataset, loadOwnData } from "../src/data/load.node.ts";
import { partitioners } from "../src/data/partition/partitioners.ts";
import { openSamples } from "../src/data/samples.node.ts";
import { encodeWav } from "../src/data/wav.ts";
import { random } from "../src/util/random.ts";

const data = process.env.SHEAF_DATA ? resolve(process.env.SHEAF_DATA) : "";
const place = await mkdtemp(join(tmpdir(), "sheaf-every-"));
const env = { XDG_CACHE_HOME: join(place, "cache"), SHEAF_DATA: data };
afterAll(() => rm(place, { recursive: true, force: true }));

/** A folder per class; what a file holds comes from `make`. */
async function classFolders(name: string, ending: string, make: (label: number, i: number) => Promise<Uint8Array>): Promise<string> {
  const root = join(place, name);
  for (const [label, className] of ["apple", "pear", "plum"].entries()) {
    await mkdir(join(root, className), { recursive: true });
    for (let i = 0; i < 8 + label; i++) await writeFile(join(root, className, `${i}${ending}`), await make(label, i));
  }
  return root;
}

const shape = { channels: 3, height: 20, width: 30 };
const makeImage = (label: number, i: number): Promise<Uint8Array> => {
  const source = random(label, "image", i);
  return encodePng(
    Uint8Array.from({ length: sampleSize(shape) }, () => source.below(256)),
    shape,
  );
};
const makeClip = async (label: number, i: number): Promise<Uint8Array> => {
  const source = random(label, "clip", i);
  const length = 12_000 + source.below(8000);
  return encodeWav(
    Int16Array.from({ length }, (_, t) => 8000 * Math.sin((t * (label + 1)) / 10) + source.below(500)),
    16_000,
  );
};

interface Case {
  readonly name: string;
  readonly present: boolean;
  load(): Promise<DatasetSplits>;
}

const cases: readonly Case[] = [
  { name: "glyphs", present: true, load: () => loadDataset("glyphs", { trainCount: 300, testCount: 60 }) },
  {
    name: "own images",
    present: true,
    load: async () => loadOwnData("images", await classFolders("images", ".png", makeImage), { env }),
  },
  { name: "own clips", present: true, load: async () => loadOwnData("clips", await classFolders("clips", ".wav", makeClip), { env }) },
  {
    name: "cifar10",
    present: existsSync(join(data, "cifar-10-batches-bin")),
    load: () => loadDataset("cifar10", { env, trainCount: 2000, testCount: 500 }),
  },
  {
    name: "cifar100",
    present: existsSync(join(data, "cifar-100-binary")),
    load: () => loadDataset("cifar100", { env, trainCount: 3000, testCount: 500 }),
  },
  { name: "speech-commands", present: existsSync(join(data, "speech_commands")), load: () => loadDataset("speech-commands", { env }) },
  {
    name: "speech-commands-12",
    present: existsSync(join(data, "speech_commands")),
    load: () => loadDataset("speech-commands-12", { env }),
  },
];

const recordsOf = (dataset: Dataset): number[] => [...dataset.labels.keys()].map((i) => dataset.records?.[i] ?? i);

describe.each(cases)("$name", ({ name, present, load }) => {
  const loaded = present ? load() : undefined;
  const test = it.skipIf(!loaded);
  const get = async (): Promise<DatasetSplits> => (await loaded) as DatasetSplits;
  if (!loaded) console.log(`SHEAF_DATA has no ${name}: its tests are skipped.`);

  test("parts that share a store share no record", async () => {
    const { train, test, validation } = await get();
    const parts = [train, test, ...(validation ? [validation] : [])];
    for (const store of new Set(parts.map((part) => part.store))) {
      const records = parts.filter((part) => part.store === store).flatMap(recordsOf);
      expect(new Set(records).size).toBe(records.length);
    }
  });

  test("every label is a class, every class has training samples, and all parts agree on form and statistics", async () => {
    const { train, test, validation } = await get();
    for (const part of [train, test, ...(validation ? [validation] : [])]) {
      expect(part.classNames).toEqual(train.classNames);
      expect(part.shape).toEqual(train.shape);
      expect([part.mean, part.std]).toEqual([train.mean, train.std]);
      expect(part.provenance.source).not.toMatch(/[/\\]/);
      expect(part.provenance.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(part.labels.every((label) => label < part.classNames.length)).toBe(true);
    }
    for (const group of samplesByClass(train.labels, train.classNames.length)) expect(group.length).toBeGreaterThan(0);
  });

  test("normalised training samples have mean 0 and deviation 1", async () => {
    const { train } = await get();
    using samples = openSamples(train);
    const indices = Array.from({ length: Math.min(400, train.labels.length) }, (_, i) =>
      Math.floor((i * train.labels.length) / Math.min(400, train.labels.length)),
    );
    const size = sampleSize(train.shape);
    const values = new Float32Array(indices.length * size);
    fillBatchNchw(values, samples, indices, train);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.1);
    expect(Math.abs(variance - 1)).toBeLessThan(0.15);
  });

  test("partitioners that deal everything out are disjoint and complete", async () => {
    const { train } = await get();
    const classes = train.classNames.length;
    const all = [...train.labels.keys()];
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer(), (deviceCount, seed) => {
        for (const { own } of [
          partitioners.iid(train.labels, classes, { deviceCount }, seed),
          partitioners.shards(train.labels, classes, { deviceCount, shardsPerDevice: 2 }, seed),
          partitioners.dirichlet(train.labels, classes, { deviceCount, alpha: 0.3 }, seed),
        ]) {
          expect(own.flatMap((part) => [...part]).sort((a, b) => a - b)).toEqual(all);
        }
      }),
      { numRuns: 4 },
    );
  });

  test("by class, own samples are all of the task sets' classes, once, and background is of the others", async () => {
    const { train } = await get();
    const classes = train.classNames.length;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Math.min(5, classes) }), fc.integer(), (deviceCount, seed) => {
        const classesOf = Array.from({ length: deviceCount }, (_, device) =>
          Array.from({ length: classes }, (_, id) => id).filter((id) => id % deviceCount === device),
        );
        const { own, background } = partitioners.byClass(
          train.labels,
          classes,
          { classesOf, overlap: "split", backgroundShare: 0.3 },
          seed,
        );
        expect(own.flatMap((part) => [...part]).sort((a, b) => a - b)).toEqual([...train.labels.keys()]);
        background.forEach((part, device) => {
          expect(new Set(part).size).toBe(part.length);
          expect([...part].every((sample) => (train.labels[sample] as number) % deviceCount !== device)).toBe(true);
        });
      }),
      { numRuns: 4 },
    );
  });
});
