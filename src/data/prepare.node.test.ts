import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openExtractor } from "../features/extract.ts";
import { defaultAudioFeatures } from "../features/features.ts";
import { random } from "../util/random.ts";
import { channelStatistics, type Dataset } from "./dataset.ts";
import { decodeImage } from "./decodeImage.node.ts";
import { type PrepareOptions, prepareSource } from "./prepare.node.ts";
import { openSamples } from "./samples.node.ts";
import type { SampleSource, SourceEntry } from "./sources/source.ts";
import { openSpeechCommands } from "./sources/speechCommands.node.ts";
import { encodeWav } from "./wav.ts";

let root: string;
let cacheDir: string;
let options: PrepareOptions;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-prepare-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  cacheDir = await mkdtemp(join(root, "cache-"));
  options = {
    imageSize: { height: 6, width: 8, channels: 3 },
    resize: "cover",
    clipMs: 1000,
    features: defaultAudioFeatures,
    testShare: 0.25,
    skipBadFiles: false,
    seed: 1,
    cacheDir,
  };
});

/** A listing of bytes in memory that counts how often an entry was read. */
function listing(
  kind: SampleSource["kind"],
  contents: readonly (Uint8Array | Float32Array)[],
  more: Partial<SampleSource> = {},
): SampleSource & { reads(): number } {
  let reads = 0;
  const entries = contents.map(
    (content, i): SourceEntry => ({
      where: `set/${i}`,
      label: i % 2,
      read: async () => {
        reads++;
        // Later entries are ready sooner: the order of records must not follow.
        await new Promise((resolve) => setTimeout(resolve, (7 * i) % 5));
        return content;
      },
    }),
  );
  return { kind, title: "made up set", classNames: ["even", "odd"], entries, fingerprint: "f", reads: () => reads, ...more };
}

/** PNGs of noise, each its own. */
async function pictures(count: number): Promise<Uint8Array[]> {
  const source = random(1, "pictures");
  return Promise.all(
    Array.from({ length: count }, () => {
      const pixels = Uint8Array.from({ length: 3 * 12 * 10 }, () => source.below(256));
      return sharp(pixels, { raw: { width: 12, height: 10, channels: 3 } })
        .png()
        .toBuffer();
    }),
  );
}

const arrays = (count: number): Float32Array[] => {
  const source = random(2, "arrays");
  return Array.from({ length: count }, () => Float32Array.from({ length: 2 * 3 * 3 }, () => 5 + 2 * source.normal()));
};
const arrayShape = { shape: { channels: 2, height: 3, width: 3 }, dtype: "float32" } as const;

/** All records of a set, in the order of its samples. */
function recordsOf(dataset: Dataset): number[][] {
  const samples = openSamples(dataset);
  const all = [...dataset.labels.keys()].map((i) => [...samples.record(i)]);
  samples.close();
  return all;
}

const prepared = (): Promise<string[]> => readdir(join(cacheDir, "prepared"));

describe("prepareSource", () => {
  test("every sample lands in one part, with its label and its own pixels", async () => {
    const images = await pictures(24);
    const { train, test: held, skipped, isReused } = await prepareSource("set", listing("image", images), options);
    expect([skipped, isReused]).toEqual([[], false]);
    expect(held.labels).toHaveLength(6);
    const expected = await Promise.all(images.map((image, i) => decodeImage(image, `${i}`, options.imageSize, "cover")));
    const got = [train, held].flatMap((part) =>
      recordsOf(part).map((pixels, i) => ({ pixels, label: part.labels[i], index: part.records?.[i] ?? -1 })),
    );
    expect(got.map(({ index }) => index).sort((a, b) => a - b)).toEqual(images.map((_, i) => i));
    for (const { pixels, label, index } of got) {
      expect(pixels).toEqual([...expected[index]!]);
      expect(label).toBe(index % 2);
    }
    const ofTraining = channelStatistics(recordsOf(train).flat(), options.imageSize);
    train.mean.forEach((mean, c) => void expect(mean).toBeCloseTo(ofTraining.mean[c]!, 9));
    held.std.forEach((std, c) => void expect(std).toBeCloseTo(ofTraining.std[c]!, 9));
  });

  test("a second time nothing is decoded, and everything is the same", async () => {
    const source = listing("image", await pictures(12));
    const first = await prepareSource("set", source, options);
    const bytes = await readFile(first.path);
    const again = await prepareSource("set", source, options);
    expect(source.reads()).toBe(12);
    expect(again.isReused).toBe(true);
    expect({ ...again, isReused: false }).toEqual(first);
    await rm(join(cacheDir, "prepared"), { recursive: true });
    const anew = await prepareSource("set", source, options);
    expect(anew).toEqual(first);
    expect(await readFile(anew.path)).toEqual(bytes);
  });

  test("another listing, size or fit is prepared anew; another share or seed is not", async () => {
    const source = listing("image", await pictures(8));
    await prepareSource("set", source, options);
    const decoded = async (changed: Partial<PrepareOptions>, listed: SampleSource = source): Promise<boolean> =>
      !(await prepareSource("set", listed, { ...options, ...changed })).isReused;
    expect(await decoded({ testShare: 0.5, seed: 7, trainCount: 3, skipBadFiles: true })).toBe(false);
    expect(await decoded({ resize: "contain" })).toBe(true);
    expect(await decoded({ imageSize: { height: 6, width: 8, channels: 1 } })).toBe(true);
    expect(await decoded({}, { ...source, fingerprint: "g" })).toBe(true);
  });

  test("a set beyond the memory limit stays in its file, with the same records", async () => {
    const source = listing("array", arrays(20), { array: arrayShape });
    const inMemory = await prepareSource("set", source, options);
    const inFile = await prepareSource("set", source, { ...options, memoryLimitBytes: 100 });
    expect(inMemory.train.store.type).toBe("memory");
    expect(inFile.train.store).toEqual({ type: "file", path: inFile.path, dtype: "float32", bytes: 20 * 18 * 4 });
    expect(recordsOf(inFile.train)).toEqual(recordsOf(inMemory.train));
    expect(inFile.train.mean).toEqual(inMemory.train.mean);
    const { store } = inMemory.train;
    expect(store.type === "memory" && store.values.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  test("arrays come through unchanged, with statistics of their values", async () => {
    const contents = arrays(10);
    const { train, test: held } = await prepareSource("set", listing("array", contents, { array: arrayShape }), options);
    for (const part of [train, held]) {
      recordsOf(part).forEach((values, i) => void expect(values).toEqual([...contents[part.records![i]!]!]));
    }
    const statistics = channelStatistics(recordsOf(train).flat(), arrayShape.shape);
    train.mean.forEach((mean, c) => void expect(mean).toBeCloseTo(statistics.mean[c]!, 6));
    train.std.forEach((std, c) => void expect(std).toBeCloseTo(statistics.std[c]!, 6));
  });

  test("named parts stay as they are, validation too; counts take a stratified part", async () => {
    const source = listing("array", arrays(24), { array: arrayShape });
    const parts = ["train", "validation", "test"] as const;
    const entries = source.entries.map((entry, i) => ({ ...entry, label: (i >> 1) % 2, split: parts[i % 3] }));
    const coarse = { classNames: ["all"], labels: new Uint16Array(24) };
    const splits = await prepareSource("set", { ...source, entries, coarse, otherClass: 1 }, { ...options, trainCount: 4, testCount: 2 });
    expect([...(splits.validation?.records ?? [])]).toEqual([1, 4, 7, 10, 13, 16, 19, 22]);
    expect(splits.train.labels.toSorted()).toEqual(Uint16Array.of(0, 0, 1, 1));
    expect(splits.test.labels).toHaveLength(2);
    expect([...splits.train.records!].every((record) => record % 3 === 0)).toBe(true);
    expect(splits.train.otherClass).toBe(1);
    expect(splits.train.coarse?.classNames).toEqual(["all"]);
  });

  test("progress is told to the end", async () => {
    const seen: number[] = [];
    await prepareSource("set", listing("array", arrays(9), { array: arrayShape }), {
      ...options,
      onProgress: ({ done }) => seen.push(done),
    });
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe("bad samples", () => {
  const withBad = async (): Promise<ReturnType<typeof listing>> => {
    const images = await pictures(8);
    const noise = Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => (i * 7919) % 251);
    const jpeg = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .jpeg()
      .toBuffer();
    images[2] = jpeg.subarray(0, jpeg.length >> 1);
    images[5] = Buffer.from("<svg xmlns='http://www.w3.org/2000/svg' width='4' height='4'/>");
    return listing("image", images);
  };

  test("the first is refused with its path, what was expected, what it got, and how to go on; nothing is left", async () => {
    const failed = prepareSource("set", await withBad(), options);
    await expect(failed).rejects.toMatchObject({
      code: "data",
      message: expect.stringMatching(
        /^set\/2: expected a whole JPEG, PNG or WebP image, got \d+ bytes that cannot be decoded .*data\.skipBadFiles/,
      ),
    });
    expect(await prepared()).toEqual([]);
  });

  test("when asked they are left out, each named, and the others keep labels and order", async () => {
    const seen: number[] = [];
    const source = await withBad();
    const skipping = { ...options, skipBadFiles: true, onProgress: ({ skipped }: { skipped: number }): void => void seen.push(skipped) };
    const { skipped, train, test: held } = await prepareSource("set", source, skipping);
    expect(skipped.map(({ where }) => where)).toEqual(["set/2", "set/5"]);
    expect(skipped[1]?.reason).toMatch(/expected a JPEG, PNG or WebP image, got svg/);
    expect(seen.at(-1)).toBe(2);
    expect(train.labels.length + held.labels.length).toBe(6);
    expect(train.provenance.source).toMatch(/2 bad files left out \(2, 5\)/);
    // Found again in the cache, they are still told; and still refused when skipping is not asked for.
    expect((await prepareSource("set", source, { ...options, skipBadFiles: true })).skipped).toEqual(skipped);
    await expect(prepareSource("set", source, options)).rejects.toThrow(/set\/2: .*data\.skipBadFiles/);
  });

  test("a cut WAV, arrays of another size or not finite, and labels that are none are refused by their place", async () => {
    const wav = encodeWav(new Int16Array(1600), 16000);
    const sounds = listing("audio", [wav, wav.subarray(0, 500), wav, wav]);
    await expect(prepareSource("set", sounds, options)).rejects.toThrow(
      /set\/1 is cut short: expected 3200 bytes in its "data" chunk, got 456/,
    );
    const short = [...arrays(3), new Float32Array(17)];
    await expect(prepareSource("set", listing("array", short, { array: arrayShape }), options)).rejects.toThrow(
      /set\/3: expected 18 values of float32, got 17 values of float32/,
    );
    const infinite = [...arrays(3), new Float32Array(18).fill(Number.POSITIVE_INFINITY, 4)];
    await expect(prepareSource("set", listing("array", infinite, { array: arrayShape }), options)).rejects.toThrow(
      /expected finite numbers, got Infinity at place 4/,
    );
    const one = { ...listing("array", arrays(4), { array: arrayShape }), classNames: ["only"] };
    await expect(prepareSource("set", one, options)).rejects.toThrow(/set\/1: expected a label from 0 to 0, got 1/);
  });

  test("a set of which nothing is left is refused", async () => {
    const bad = listing("image", [Buffer.from("x"), Buffer.from("y")]);
    await expect(prepareSource("set", bad, { ...options, skipBadFiles: true })).rejects.toThrow(/no sample that can be used.*2 bad ones/);
  });
});

describe("the cache", () => {
  test("records that are cut, altered or without a description are not used, but made anew", async () => {
    const source = listing("array", arrays(12), { array: arrayShape });
    const { path } = await prepareSource("set", source, options);
    const bytes = await readFile(path);
    const description = path.replace(/bin$/, "json");
    const text = await readFile(description, "utf8");
    const harms: readonly (() => Promise<void>)[] = [
      () => truncate(path, bytes.length - 4),
      () =>
        writeFile(
          path,
          bytes.map((byte, i) => (i === 300 ? byte ^ 1 : byte)),
        ),
      () => rm(description),
      () => writeFile(description, text.slice(0, text.length / 2)),
      () => writeFile(description, text.replace('"labels":"AAAB', '"labels":"AQAB')),
      () => rm(path),
    ];
    for (const [i, harm] of harms.entries()) {
      await harm();
      expect((await prepareSource("set", source, options)).isReused, `harm ${i}`).toBe(false);
      expect(await readFile(path)).toEqual(bytes);
      expect(await readFile(description, "utf8")).toBe(text);
    }
    expect((await prepareSource("set", source, options)).isReused).toBe(true);
  });

  test("a large file that was altered in one of its pieces is noticed without reading it whole", async () => {
    const source = listing("array", arrays(12), { array: arrayShape });
    const small = { ...options, memoryLimitBytes: 1 };
    const { path } = await prepareSource("set", source, small);
    await writeFile(path, (await readFile(path)).fill(0, 0, 64));
    expect((await prepareSource("set", source, small)).isReused).toBe(false);
  });

  test("stopped half-way, nothing is kept and nothing goes on", async () => {
    const stop = new AbortController();
    const source = listing("array", arrays(200), { array: arrayShape });
    const failed = prepareSource("set", source, { ...options, signal: stop.signal, onProgress: ({ done }) => done === 20 && stop.abort() });
    await expect(failed).rejects.toMatchObject({ code: "interrupted" });
    const reads = source.reads();
    expect(reads).toBeLessThan(60);
    expect(await prepared()).toEqual([]);
    expect((await prepareSource("set", source, options)).isReused).toBe(false);
    expect(source.reads()).toBe(reads + 200);
  });

  test("what a killed process left is swept; what a living one writes is not", async () => {
    const folder = join(cacheDir, "prepared");
    await mkdir(folder);
    const key = "0123456789abcdef0123456789abcdef";
    // Process ids end well below this on all systems that we run on.
    const left = `.${key}.${hostname()}.2147483646.00c0ffee.tmp`;
    const living = `.${key}.${hostname()}.${process.pid}.00c0ffee.tmp`;
    const elsewhere = `.${key}.another.host.1.00c0ffee.tmp`;
    for (const name of [left, living, elsewhere]) await writeFile(join(folder, name), "half");
    await prepareSource("set", listing("array", arrays(4), { array: arrayShape }), options);
    expect((await prepared()).filter((name) => name.endsWith(".tmp")).sort()).toEqual([elsewhere, living].sort());
  });

  test("a cache that cannot be written is a storage error with the path", async () => {
    const blocked = join(cacheDir, "file");
    await writeFile(blocked, "");
    const failed = prepareSource("set", listing("array", arrays(4), { array: arrayShape }), { ...options, cacheDir: blocked });
    await expect(failed).rejects.toMatchObject({ code: "storage", message: expect.stringContaining(blocked) });
  });
});

const canMount = process.platform === "linux" && process.getuid?.() === 0;

test.skipIf(!canMount)("a full disk is a storage error with the remedy, and leaves nothing", async () => {
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=100k", "tmpfs", cacheDir]).status !== 0) return;
  try {
    const large = { shape: { channels: 1, height: 64, width: 64 }, dtype: "uint8" } as const;
    const contents = Array.from({ length: 40 }, () => new Uint8Array(4096));
    const failed = prepareSource("set", listing("array", contents, { array: large }), options);
    await expect(failed).rejects.toMatchObject({
      code: "storage",
      message: expect.stringMatching(/prepared.*the disk is full; free some space/),
    });
    expect(await prepared()).toEqual([]);
  } finally {
    spawnSync("umount", [cacheDir]);
  }
});

describe("audio", () => {
  const sound = (index: number, length: number, rate = 16000): Uint8Array => {
    const source = random(3, "sound", index);
    return encodeWav(
      Int16Array.from({ length }, () => source.below(4000) - 2000),
      rate,
    );
  };

  test("clips are padded or cut, brought to one rate, and their statistics are those of the features", async () => {
    const source = listing("audio", [
      sound(0, 16000),
      sound(1, 9000),
      sound(2, 20000),
      sound(3, 44100, 44100),
      sound(4, 16000),
      sound(5, 16000),
    ]);
    const { train, test: held } = await prepareSource("set", source, options);
    expect(train.shape).toEqual({ channels: 1, height: 49, width: 40 });
    expect(train.audio?.clipSamples).toBe(16000);
    const byIndex = new Map([train, held].flatMap((part) => recordsOf(part).map((clip, i) => [part.records![i], clip])));
    for (const clip of byIndex.values()) expect(clip).toHaveLength(16000);
    expect(
      byIndex
        .get(1)
        ?.slice(9000)
        .every((value) => value === 0),
    ).toBe(true);
    const original = new Int16Array(sound(2, 20000).slice(44).buffer);
    expect(byIndex.get(2)).toEqual([...original.subarray(0, 16000)]);
    const extractor = openExtractor(defaultAudioFeatures, 16000);
    const features = recordsOf(train).flatMap((clip) => {
      const into = new Float32Array(49 * 40);
      extractor.extract(
        Float32Array.from(clip, (value) => value / 32768),
        into,
      );
      return [...into];
    });
    const mean = features.reduce((sum, value) => sum + value, 0) / features.length;
    expect(train.mean).toEqual([expect.closeTo(mean, 6)]);
    expect(train.std).toEqual([
      expect.closeTo(Math.sqrt(features.reduce((sum, value) => sum + (value - mean) ** 2, 0) / features.length), 6),
    ]);
  });

  test("other features take the same records, with statistics of their own", async () => {
    const source = listing(
      "audio",
      Array.from({ length: 6 }, (_, i) => sound(i, 16000)),
    );
    const logMel = await prepareSource("set", source, options);
    const mfcc = await prepareSource("set", source, { ...options, features: { ...defaultAudioFeatures, type: "mfcc", coefficients: 13 } });
    expect(mfcc.isReused).toBe(true);
    expect(mfcc.train.shape.width).toBe(13);
    expect(mfcc.train.mean).not.toEqual(logMel.train.mean);
  });

  test("noise is that of the recordings, repeated up to a clip, or generated; a bad recording is a bad file", async () => {
    const sounds = Array.from({ length: 4 }, (_, i) => sound(i, 16000));
    const generated = (await prepareSource("set", listing("audio", sounds), options)).train.audio?.noise;
    expect(generated).toHaveLength(60 * 16000);
    expect((await prepareSource("set", listing("audio", sounds), options)).train.audio?.noise).toEqual(generated);
    const path = join(cacheDir, "hum.wav");
    await writeFile(path, encodeWav(Int16Array.of(1, 2, 3), 16000));
    const { noise } = (await prepareSource("set", listing("audio", sounds, { noise: [path] }), options)).train.audio!;
    expect(noise).toHaveLength(16000);
    expect([...noise.subarray(0, 5)]).toEqual([1, 2, 3, 1, 2]);
    const broken = listing("audio", sounds, { noise: [join(cacheDir, "none.wav")] });
    await expect(prepareSource("set", broken, options)).rejects.toThrow(/none\.wav cannot be read.*skipBadFiles/);
    expect((await prepareSource("set", broken, { ...options, skipBadFiles: true })).skipped).toHaveLength(1);
  });
});

const real = process.env.SHEAF_DATA && join(process.env.SHEAF_DATA, "speech_commands");
if (!real) console.log("SHEAF_DATA not set: preparing real Speech Commands is skipped.");
test.skipIf(!real)(
  "real Speech Commands has 2000, 300 and 532 clips, prepared once",
  async () => {
    const source = await openSpeechCommands(real as string);
    const { train, validation, test: held, path } = await prepareSource("speech-commands", source, options);
    expect([train, validation, held].map((part) => part?.labels.length)).toEqual([2000, 300, 532]);
    expect((await stat(path)).size).toBe(2832 * 32000);
    expect(train.mean[0]).toBeLessThan(0);
    expect(train.std[0]).toBeGreaterThan(1);
    expect((await prepareSource("speech-commands", source, options)).isReused).toBe(true);
  },
  60_000,
);
