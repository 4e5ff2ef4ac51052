import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { decodeWav, encodeWav } from "../wav.ts";
import type { SampleSource, Split } from "./source.ts";
import { isSpeechCommands, keywordWords, openSpeechCommands } from "./speechCommands.node.ts";

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "sheaf-speech-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(root, "set-"));
});

const clip = (value: number): Uint8Array => encodeWav(new Int16Array(160).fill(value), 16000);

/** Writes clips SPEAKER_nohash_0.wav of `words`; the first `validation` of each word are listed for validation, the next `test` for testing. */
async function write(words: Readonly<Record<string, number>>, validation = 1, held = 2): Promise<void> {
  const lists: Record<"validation" | "test", string[]> = { validation: [], test: [] };
  let speaker = 0;
  for (const [word, count] of Object.entries(words)) {
    await mkdir(join(folder, word), { recursive: true });
    for (let i = 0; i < count; i++) {
      const path = `${word}/${(speaker++).toString(16).padStart(8, "0")}_nohash_0.wav`;
      await writeFile(join(folder, path), clip(speaker));
      if (i < validation) lists.validation.push(path);
      else if (i < validation + held) lists.test.push(path);
    }
  }
  await writeFile(join(folder, "validation_list.txt"), lists.validation.map((line) => `${line}\n`).join(""));
  await writeFile(join(folder, "testing_list.txt"), lists.test.map((line) => `${line}\n`).join(""));
}

async function writeNoise(name: string, samples: Int16Array): Promise<void> {
  const path = join(folder, "_background_noise_", name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, encodeWav(samples, 16000));
}

/** Number of entries of each class in each part. */
function counts({ classNames, entries }: SampleSource): Record<string, Record<Split, number>> {
  const table = Object.fromEntries(classNames.map((name) => [name, { train: 0, validation: 0, test: 0 }]));
  for (const { label, split } of entries) table[classNames[label] ?? "?"]![split ?? "train"]++;
  return table;
}

describe("openSpeechCommands", () => {
  test("words are folders, the lists are parts, everything else is training, and noise is no class", async () => {
    await write({ yes: 6, no: 5 });
    await writeNoise("hum.wav", new Int16Array(100));
    await writeFile(join(folder, "README.md"), "about");
    const source = await openSpeechCommands(folder);
    expect(source.kind).toBe("audio");
    expect(source.classNames).toEqual(["no", "yes"]);
    expect(counts(source)).toEqual({ no: { train: 2, validation: 1, test: 2 }, yes: { train: 3, validation: 1, test: 2 } });
    expect(source.noise).toEqual([join(folder, "_background_noise_", "hum.wav")]);
    expect(source.otherClass).toBeUndefined();
    expect(source.notes).toEqual([]);
    expect(source.entries.map(({ where }) => where)).toEqual(source.entries.map(({ where }) => where).toSorted());
    const first = source.entries[0]!;
    expect(first.where).toMatch(/no[/\\][0-9a-f]{8}_nohash_0\.wav$/);
    expect(decodeWav((await first.read()) as Uint8Array, first.where).samples).toHaveLength(160);
    expect(await isSpeechCommands(folder)).toBe(true);
    expect(await isSpeechCommands(root)).toBe(false);
  });

  test("other words are unknown, as many in each part as the mean of the words' counts, and always the same ones", async () => {
    await write({ yes: 9, no: 7, bed: 20, cat: 20, dog: 20 });
    const source = await openSpeechCommands(folder, { words: ["yes", "no"] });
    expect(source.classNames).toEqual(["yes", "no", "unknown"]);
    expect(source.otherClass).toBe(2);
    expect(counts(source).unknown).toEqual({ train: 5, validation: 1, test: 2 });
    const again = await openSpeechCommands(folder, { words: ["yes", "no"] });
    expect(again.entries.map(({ where }) => where)).toEqual(source.entries.map(({ where }) => where));
    expect(again.fingerprint).toBe(source.fingerprint);
  });

  test("the 12-class protocol leaves words out that are not there, and says so", async () => {
    await write({ go: 6, up: 6, happy: 6 });
    const { classNames, notes } = await openSpeechCommands(folder, { words: keywordWords, silence: true });
    expect(classNames).toEqual(["up", "go", "unknown", "silence"]);
    expect(notes).toEqual([
      expect.stringMatching(/no folder for yes, no, down, left, right, on, off, stop: left out, 2 of 10 words remain/),
    ]);
  });

  test("files that are listed but absent are a note, since parts of the set are common", async () => {
    await write({ yes: 6 });
    await writeFile(join(folder, "testing_list.txt"), "yes/00000003_nohash_0.wav\nbird/0a7c2a8d_nohash_0.wav\n");
    const source = await openSpeechCommands(folder);
    expect(counts(source).yes).toEqual({ train: 4, validation: 1, test: 1 });
    expect(source.notes).toEqual([expect.stringMatching(/1 of the 2 clips in .*testing_list\.txt are not in the folder/)]);
    await rm(join(folder, "testing_list.txt"));
    expect((await openSpeechCommands(folder)).notes).toEqual([expect.stringMatching(/testing_list\.txt does not exist/)]);
  });

  test("a list that is cut, mislabelled or at odds with the other one is refused with its line", async () => {
    await write({ yes: 6 });
    const list = join(folder, "testing_list.txt");
    await writeFile(list, "yes/00000003_nohash_0.wav\nyes/0000000");
    await expect(openSpeechCommands(folder)).rejects.toMatchObject({
      code: "data",
      message: expect.stringMatching(/testing_list\.txt line 2: expected a path WORD\/FILE\.wav, got "yes\/0000000"/),
    });
    await writeFile(list, "00000003_nohash_0.wav\n");
    await expect(openSpeechCommands(folder)).rejects.toThrow(/line 1: expected a path WORD\/FILE\.wav, got "00000003_nohash_0\.wav"/);
    await writeFile(list, "yes/00000000_nohash_0.wav\n");
    await expect(openSpeechCommands(folder)).rejects.toThrow(
      /yes\/00000000_nohash_0\.wav is in both validation_list\.txt and testing_list\.txt/,
    );
  });

  test("refuses a folder without clips, a missing folder, and words of which none is there or one is named twice", async () => {
    await expect(openSpeechCommands(folder)).rejects.toThrow(/holds no clips/);
    await expect(openSpeechCommands(join(folder, "nowhere"))).rejects.toMatchObject({
      code: "data",
      message: expect.stringContaining("nowhere"),
    });
    await write({ yes: 4, bed: 4 });
    await expect(openSpeechCommands(folder, { words: ["no"] })).rejects.toThrow(
      /None of the words no has a folder .* its words are bed, yes/,
    );
    await expect(openSpeechCommands(folder, { words: ["yes", "yes"] })).rejects.toThrow(/"yes" is named twice/);
  });

  test("the fingerprint changes with a file, a list and the choice of classes", async () => {
    await write({ yes: 6, no: 6 });
    const prints = [
      await openSpeechCommands(folder),
      await openSpeechCommands(folder, { silence: true }),
      await openSpeechCommands(folder, { words: ["yes"] }),
    ];
    await writeFile(join(folder, "testing_list.txt"), "yes/00000003_nohash_0.wav\n");
    prints.push(await openSpeechCommands(folder));
    await utimes(join(folder, "yes", "00000000_nohash_0.wav"), 1, 1);
    prints.push(await openSpeechCommands(folder));
    expect(new Set(prints.map(({ fingerprint }) => fingerprint)).size).toBe(5);
  });
});

describe("silence", () => {
  const silences = async (): Promise<{ split: Split; samples: Float32Array }[]> => {
    const { entries, classNames } = await openSpeechCommands(folder, { silence: true });
    const silent = entries.filter(({ label }) => classNames[label] === "silence");
    return Promise.all(
      silent.map(async ({ read, where, split }) => ({
        split: split ?? "train",
        samples: decodeWav((await read()) as Uint8Array, where).samples,
      })),
    );
  };

  test("has as many clips in each part as the mean word, all different, and the same every time", async () => {
    await write({ yes: 8, no: 6 });
    const clips = await silences();
    expect(clips.map(({ split }) => split)).toEqual(["train", "train", "train", "train", "validation", "test", "test"]);
    for (const { samples } of clips) expect(samples).toHaveLength(16000);
    expect(new Set(clips.map(({ samples }) => samples.join())).size).toBe(clips.length);
    expect(await silences()).toEqual(clips);
  });

  test("comes from the recordings when there are some, each part from a stretch of its own", async () => {
    await write({ yes: 30 }, 5, 8);
    // A sawtooth too slow to repeat: the ratio of neighbouring samples tells the place, whatever the volume.
    await writeNoise(
      "ramp.wav",
      Int16Array.from({ length: 320_000 }, (_, i) => 10_000 + Math.floor(i / 16)),
    );
    for (const { split, samples } of await silences()) {
      const loudest = samples.at(-1)!;
      if (loudest < 0.1) continue;
      // Within a clip of 16000 samples the ramp rises by 1000; its place is 1000 / (last / first - 1).
      const first = 1000 / (loudest / samples[0]! - 1);
      const place = (first - 10_000) / 20_000;
      const [from, to] = { train: [0, 0.75], validation: [0.8, 0.85], test: [0.9, 0.95] }[split] as [number, number];
      expect(place).toBeGreaterThan(from - 0.02);
      expect(place).toBeLessThan(to + 0.02);
    }
  });

  test("a damaged recording is refused by its path", async () => {
    await write({ yes: 4 });
    await mkdir(join(folder, "_background_noise_"));
    await writeFile(join(folder, "_background_noise_", "hum.wav"), "no sound");
    await expect(silences()).rejects.toThrow(/hum\.wav is no WAV file/);
  });
});

const real = process.env.SHEAF_DATA && join(process.env.SHEAF_DATA, "speech_commands");
if (!real) console.log("SHEAF_DATA not set: the test on real Speech Commands is skipped.");
test.skipIf(!real)("the real folder has the counts that its README states", async () => {
  const source = await openSpeechCommands(real as string);
  const parts = source.entries.map(({ split }) => split);
  expect((["train", "validation", "test"] as const).map((split) => parts.filter((part) => part === split).length)).toEqual([
    2000, 300, 532,
  ]);
  expect(source.classNames).toEqual(["bed", "cat", "down", "go", "happy", "left", "one", "right", "up", "zero"]);
  expect(counts(source).zero).toEqual({ train: 200, validation: 30, test: 25 });
  expect(source.notes).toEqual([]);
});
